// The row of numbers, the table of stages and the facts: the last ten seconds, and what was configured.
import { $, rows, element, text } from "./dom.js";
import { count, duration, ms, percent, plural, rate } from "./format.js";
import { GUARANTEE, STAGES } from "./words.js";

const total = (list) => list.reduce((a, b) => a + b, 0);

export function showNumbers(store) {
  const { head, facts } = store;
  const { summary } = head;
  if (!summary) return;
  const { recent, totals, lag } = summary;
  text($("n-rate"), rate(recent.rate_s));
  text($("n-rate-more"), `${count(total(totals.outcomes))} since the start`);
  showAge(recent.quantiles_us.age, facts.budget_ms);
  const expired = recent.outcomes[2];
  const overdue = total(recent.overdue);
  const answered = total(recent.in_time) + overdue + expired;
  const best = facts.tiers[0].name;
  text($("n-goodput"), answered ? percent(Math.min(1, recent.in_time[0] / answered)) : "–");
  text($("n-goodput-more"), `answered by ${best}, in time`);
  text($("n-missed"), answered ? percent(Math.min(1, recent.misses / answered)) : "–");
  $("n-missed").closest(".number").dataset.tone = recent.misses > 0.001 * answered ? "bad" : "";
  text($("n-missed-more"), `${count(expired)} expired, ${count(overdue)} overdue in ${duration(recent.span_ms / 1000)}`);
  const behind = Object.entries(lag);
  text($("n-lag"), count(total(behind.map(([, records]) => records))));
  const worst = behind.reduce((most, each) => (each[1] > most[1] ? each : most), ["", 0]);
  text($("n-lag-more"), worst[1] ? `most in ${worst[0]}` : plural(behind.length, "partition"));
}

function showAge(quantiles, budgetMs) {
  const tile = $("n-age").closest(".number");
  if (!quantiles) {
    text($("n-age"), "–");
    text($("n-age-more"), "no delivery in the last 10 s");
    return;
  }
  const [p50, p99, p999] = quantiles;
  text($("n-age"), ms(p99));
  text($("n-age-unit"), `ms of ${count(budgetMs)}`);
  text($("n-age-more"), `p50 ${ms(p50)}, p99.9 ${ms(p999)} ms`);
  const over = p99 > budgetMs * 1000;
  tile.dataset.tone = over ? "bad" : "";
  const bar = $("n-age-meter").firstElementChild;
  bar.style.width = `${Math.min(100, p99 / budgetMs / 10).toFixed(1)}%`;
}

export function showStages(store) {
  const { summary } = store.head;
  if (!summary) return;
  const budgetUs = store.facts.budget_ms * 1000;
  rows(
    $("stages"),
    STAGES,
    () => {
      const made = element("tr");
      const name = element("th");
      name.scope = "row";
      const track = element("div", "track");
      track.append(element("i"));
      const bar = element("td", "bar");
      bar.append(track);
      made.append(name, element("td"), element("td"), element("td"), bar);
      return made;
    },
    (row, [name, meaning]) => {
      const found = summary.recent.quantiles_us[name];
      text(row.children[0], name);
      row.title = meaning;
      [0, 1, 2].forEach((at) => text(row.children[at + 1], found ? ms(found[at]) : "–"));
      const share = found ? found[1] / budgetUs : 0;
      const fill = row.children[4].firstElementChild.firstElementChild;
      fill.style.width = `${Math.min(100, share * 100).toFixed(1)}%`;
      fill.style.background = share > 1 ? "var(--over)" : "var(--blue)";
      row.dataset.sum = String(name === "total" || name === "age");
    },
  );
}

export function showFacts(store) {
  const { facts, head } = store;
  const tiers = facts.tiers.map((tier) => (tier.rule ? `${tier.name} (rule)` : `${tier.name} ${tier.model} v${tier.version}`));
  const upS = (head.now_ms - head.started_ms) / 1000;
  const items = [
    ["instance", head.instance || "not told yet"],
    ["up", duration(upS)],
    ["guarantee", GUARANTEE[facts.guarantee] ?? facts.guarantee],
    ["budget", `${count(facts.budget_ms)} ms`],
    ["models", tiers.join(" → ")],
    ["topics", `${facts.inputs.join(", ")} → ${facts.topics.decisions}`],
  ];
  if (facts.mode !== "live") items.push(["mode", facts.mode]);
  rows(
    $("facts"),
    items,
    () => {
      const made = element("li");
      made.append(element("span"), element("b"));
      return made;
    },
    (node, [name, value]) => {
      text(node.children[0], name);
      text(node.children[1], value);
    },
  );
  text($("pipeline"), facts.pipeline);
  document.title = `${facts.pipeline} – headrace`;
}
