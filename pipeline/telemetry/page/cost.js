// What decisions cost: CPU time, energy and money, by tier and by tenant, and how much of a budget is used.
import { $, bars, element, rows, text } from "./dom.js";
import { count, duration, percent } from "./format.js";

const BUDGETS = { a_day: "a day, at the last hour’s rate", per_million: "a million decisions, of the last hour" };

/** Three figures, however small. */
function figures(number) {
  if (number === null || number === undefined) return "–";
  if (number === 0) return "0";
  return Math.abs(number) >= 1000 ? count(number) : String(Number(number.toPrecision(3)));
}

function table(host, lines, counted, currency) {
  const heads = [counted, "of the CPU", "", "CPU µs each", currency ? `${currency} a million` : ""];
  rows(host.tHead.rows[0], heads, () => element("th"), (cell, name) => {
    cell.scope = "col";
    text(cell, name);
  });
  rows(
    host.tBodies[0],
    lines,
    () => {
      const made = element("tr");
      const name = element("th");
      name.scope = "row";
      const bar = element("td", "bar");
      const track = element("div", "track");
      track.append(element("i"));
      bar.append(track);
      made.append(name, element("td"), bar, element("td"), element("td"));
      return made;
    },
    (row, line) => {
      const cells = row.children;
      text(cells[0], line.name);
      cells[0].title = line.count === null ? line.name : `${line.name}: ${count(line.count)} in the last 10 s`;
      text(cells[1], `${percent(line.share)} %`);
      cells[2].firstElementChild.firstElementChild.style.width = `${Math.min(100, line.share * 100).toFixed(1)}%`;
      text(cells[3], figures(line.cpu_s_a_million));
      text(cells[4], currency ? figures(line.money_a_million) : "");
    },
  );
}

export function showCost(store) {
  const bill = store.head.summary?.bill;
  if (!bill) return;
  const { currency, total } = bill;
  const watts = Object.entries(bill.energy_w).map(([source, value]) => `${figures(value)} W by ${source}`).join(", ");
  const said = [
    currency && total.money_a_million !== null ? `${figures(total.money_a_million)} ${currency} a million decisions` : null,
    total.cpu_s_a_million === null ? "nothing decided in the last 10 s" : `${figures(total.cpu_s_a_million)} µs of CPU a decision`,
    watts || null,
  ];
  text($("cost-now"), said.filter(Boolean).join(" · "));
  table($("cost-tiers"), bill.tiers, "tier", currency);
  table($("cost-tenants"), bill.tenants, "tenant", currency);
  bars($("cost-budgets"), bill.budgets.map(({ name, allowed, spent }) => ({
    name: BUDGETS[name],
    share: spent === null ? 0 : spent / allowed,
    value: spent === null ? `– of ${figures(allowed)}` : `${percent(spent / allowed)} % of ${figures(allowed)} ${currency}`,
    color: spent > allowed ? "over" : "blue",
  })));
  const notes = [
    bill.tenants_more ? `${count(bill.tenants_more)} more tenants are in the metrics.` : null,
    currency ? `${figures(bill.spent)} ${currency} in ${duration((store.head.now_ms - store.head.summary.totals.from_ms) / 1000)}.` : "No prices are set in [cost].",
    bill.cost_a_case === null ? null : `A detected case: ${figures(bill.cost_a_case)} ${currency} (${count(bill.detected)}).`,
    bill.spared ? `Answers given again spared ${figures(bill.spared.saved_s)} s, looking for them took ${figures(bill.spared.lookup_s)} s.` : null,
  ];
  text($("cost-note"), notes.filter(Boolean).join(" "));
}
