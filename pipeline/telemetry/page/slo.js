// What the SLO app says: budgets, burn rates, alerts. Another process; here it is only read.
import { $, element } from "./dom.js";
import { percent } from "./format.js";

let shown = "";

export function showSlo(slo) {
  const now = JSON.stringify(slo);
  if (now === shown) return;
  shown = now;
  const host = $("slo");
  host.replaceChildren();
  if (slo.state === "off") {
    host.append(element("p", "note", "No SLO app configured. Set http.slo_url to its address (headrace slo) to see budgets, burn rates and alerts here."));
    return;
  }
  if (slo.state === "asking") host.append(element("p", "note", "Asking the SLO app …"));
  if (slo.state === "unreachable") host.append(element("p", "note bad", `The SLO app does not answer: ${slo.why}${slo.slos.length ? ". Below is what it said last." : ""}`));
  if (!slo.slos.length) {
    if (slo.state === "told") host.append(element("p", "note", "The SLO app watches no objective."));
    return;
  }
  const promises = slo.slos.filter((each) => each.objective !== null || each.budget_left !== null || Object.keys(each.burn).length);
  host.append(alerts(slo.slos));
  if (promises.length) host.append(table(promises));
}

function alerts(slos) {
  const list = element("ul", "alerts");
  for (const slo of slos) {
    for (const alert of slo.alerts) {
      if (alert.state === "resolved") continue;
      const item = element("li", alert.severity === "page" ? "page" : "ticket");
      item.append(element("b", "", alert.severity || "alert"), element("span", "", alert.summary.includes(slo.slo) ? alert.summary : `${slo.slo}: ${alert.summary || "firing"}`));
      list.append(item);
    }
  }
  if (!list.children.length) list.append(element("li", "quiet", "No alert is firing."));
  return list;
}

function table(slos) {
  const spans = [...new Set(slos.flatMap((slo) => Object.keys(slo.burn)))].slice(0, 6);
  const made = element("table", "slos");
  const head = element("tr");
  for (const name of ["objective", "of all", "budget left", ...spans.map((span) => `burn ${span}`)]) {
    const cell = element("th", "", name);
    cell.scope = "col";
    head.append(cell);
  }
  made.append(element("thead"));
  made.firstElementChild.append(head);
  const body = element("tbody");
  for (const slo of slos) {
    const row = element("tr");
    const name = element("th", "", slo.slo);
    name.scope = "row";
    row.append(name, element("td", "", slo.objective === null ? "–" : `${percent(slo.objective)} %`), budget(slo.budget_left));
    for (const span of spans) {
      const rate = slo.burn[span];
      const cell = element("td", rate >= 1 ? "hot" : "", typeof rate === "number" ? `${rate >= 10 ? rate.toFixed(0) : rate.toFixed(2)}×` : "–");
      row.append(cell);
    }
    body.append(row);
  }
  made.append(body);
  return made;
}

function budget(left) {
  const cell = element("td");
  if (left === null) {
    cell.textContent = "–";
    return cell;
  }
  const line = element("div", "left");
  const track = element("div", "track");
  const fill = element("i");
  fill.style.width = `${Math.min(100, Math.max(0, left * 100)).toFixed(1)}%`;
  fill.style.background = left < 0.25 ? "var(--over)" : "var(--blue)";
  track.append(fill);
  line.append(track, element("span", "", `${left < 0 ? "−" : ""}${percent(Math.abs(left))} %`));
  cell.append(line);
  return cell;
}
