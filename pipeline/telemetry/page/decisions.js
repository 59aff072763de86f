// The latest decisions: few of each kind, newest first, held still while somebody reads.
import { $, element, rows, text } from "./dom.js";
import { count, ms, percent, time } from "./format.js";
import { OUTCOME } from "./words.js";

const KEPT_OF_A_KIND = 24;
const ROWS_MAX = 20;
const COLUMNS = ["decided", "outcome", "decision", "score", "answered by", "in process", "age", "reasons", "event", "source"];
const ALL = "all";

export class Decisions {
  constructor() {
    this.kinds = new Map();
    this.filter = ALL;
    this.held = false;
    this.open = null;
    this.asked = false;
    $("hold").addEventListener("click", () => this.hold(!this.held));
    $("decision-rows").addEventListener("click", (event) => {
      const row = event.target.closest("tr[data-number]");
      if (row) this.toggle(Number(row.dataset.number));
    });
  }

  clear() {
    this.kinds.clear();
  }

  add(decisions) {
    for (const each of decisions) {
      const kind = `${each.value.outcome}/${each.value.decision}`;
      if (!this.kinds.has(kind)) this.kinds.set(kind, []);
      const kept = this.kinds.get(kind);
      kept.push(each);
      if (kept.length > KEPT_OF_A_KIND) kept.shift();
    }
    if (!this.held) this.show();
  }

  hold(held) {
    this.held = held;
    $("hold").setAttribute("aria-pressed", String(held));
    text($("hold"), held ? "held: go on" : "hold");
    if (!held) {
      this.open = null;
      this.show();
    }
  }

  toggle(number) {
    this.open = this.open === number ? null : number;
    if (this.open !== null && !this.held) this.hold(true);
    this.show();
  }

  /** The choices are those that were seen: outcomes, then decisions. */
  choices() {
    const all = [...this.kinds.values()].flat();
    const outcomes = Object.keys(OUTCOME).filter((name) => all.some((each) => each.value.outcome === name));
    const labels = [...new Set(all.map((each) => each.value.decision))].sort();
    const names = [ALL, ...outcomes, ...labels];
    const host = $("filter");
    rows(host, names, () => {
      const made = element("button");
      made.type = "button";
      made.addEventListener("click", () => {
        this.filter = made.dataset.name;
        this.show();
      });
      return made;
    }, (button, name) => {
      button.dataset.name = name;
      text(button, OUTCOME[name] ?? name);
      button.setAttribute("aria-pressed", String(name === this.filter));
    });
    return all;
  }

  show() {
    const all = this.choices()
      .filter(({ value }) => this.filter === ALL || value.outcome === this.filter || value.decision === this.filter)
      .sort((a, b) => b.number - a.number)
      .slice(0, ROWS_MAX);
    const lines = all.flatMap((each) => (each.number === this.open ? [each, { detail: each }] : [each]));
    rows($("decision-rows"), lines, () => element("tr"), (row, line) => (line.detail ? fillDetail(row, line.detail) : fillRow(row, line, this.open)));
    text($("decisions-note"), all.length ? "Choose a row for its latencies, features and key." : "None of these were seen yet.");
  }
}

function fillRow(row, { number, at_ms: atMs, value }, open) {
  if (row.dataset.number === undefined) {
    row.className = "";
    row.replaceChildren(...COLUMNS.map((name) => {
      const cell = element("td");
      cell.dataset.name = name;
      return cell;
    }));
    row.children[0].append(element("button"));
    row.children[1].append(element("span"));
  }
  if (row.dataset.number !== String(number)) {
    row.dataset.number = String(number);
    row.dataset.outcome = value.outcome;
    const [at, outcome, decision, score, by, inProcess, age, reasons, event, source] = row.children;
    text(at.firstElementChild, time(atMs));
    at.firstElementChild.setAttribute("aria-label", `Details of the decision of ${time(atMs)}`);
    text(outcome.firstElementChild, OUTCOME[value.outcome] ?? value.outcome);
    outcome.firstElementChild.className = `tag ${value.outcome}`;
    text(decision, value.decision);
    text(score, value.score === null ? "–" : value.score.toFixed(3));
    text(by, value.model ? `${value.tier} · ${value.model} v${value.version}` : value.tier);
    text(inProcess, `${ms(value.latency_us.total)} ms`);
    text(age, value.age_us === null ? "–" : `${ms(value.age_us)} ms`);
    age.dataset.late = String(value.deadline_met === false);
    text(reasons, reasonsOf(value));
    reasons.dataset.none = String(reasons.textContent === "–");
    text(event, String(value.id));
    text(source, value.source.join("/"));
  }
  row.children[0].firstElementChild.setAttribute("aria-expanded", String(number === open));
}

function reasonsOf(value) {
  const given = (value.reasons ?? []).map(([name, number]) => `${name.replaceAll("_", " ")} ${Number(number.toPrecision(3))}`);
  if (value.class) given.unshift(value.class);
  if (value.outcome === "expired") given.unshift("no tier could be in time");
  else if (value.outcome === "degraded") given.unshift("better tiers not in time");
  if (value.deadline_met === false && value.outcome !== "expired") given.push("not expected in time");
  return given.join(", ") || "–";
}

function fillDetail(row, { value, key }) {
  delete row.dataset.number;
  delete row.dataset.outcome;
  row.className = "detail";
  const cell = element("td");
  cell.colSpan = COLUMNS.length;
  const list = element("dl", "levels");
  const { queue, features, score, total } = value.latency_us;
  const put = (name, told) => {
    const pair = element("div");
    pair.append(element("dt", "", name), element("dd", "", told));
    list.append(pair);
  };
  put("key", key || "none");
  put("deadline", value.deadline_met ? "met at hand-over" : "not met");
  put("provider", value.provider ?? "–");
  for (const [name, us] of [["queue", queue], ["features", features], ["score", score], ["in process", total]]) put(name, `${ms(us)} ms`);
  if (value.event_time) put("event's own time", new Date(value.event_time).toISOString().replace("T", " ").slice(0, 19));
  for (const [name, share] of Object.entries(value.probabilities ?? {})) put(`P(${name})`, `${percent(share)} %`);
  for (const [name, number] of Object.entries(value.features ?? {})) {
    put(name.replaceAll("_", " "), number === null ? "–" : Number.isInteger(number) ? count(number) : String(Number(number.toPrecision(5))));
  }
  cell.append(list);
  row.replaceChildren(cell);
}
