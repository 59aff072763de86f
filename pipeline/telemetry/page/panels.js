// The panels beside the charts: what was given up, batches, lag, dead letters, levels.
import { $, bars, element, pairs, rows, text } from "./dom.js";
import { bytes, count, duration, ms, percent, plural, rate } from "./format.js";
import { sum, sums, tallies } from "./store.js";
import { BILLED, EITHER, LEVELS } from "./words.js";

const total = (list) => list.reduce((a, b) => a + b, 0);
const LAG_ROWS_MAX = 8;
const CODE_ROWS_MAX = 10;

/** What was given up in these points: { name, count, share, why }, nothing where nothing was. */
export function givenUp(points, facts) {
  const [scored, degraded, expired, dead] = sums(points, "outcomes", 5);
  const decided = Math.max(1, scored + degraded + expired);
  const tiers = sums(points, "tiers", facts.tiers.length);
  const overdue = total(sums(points, "overdue", facts.tiers.length));
  const best = facts.tiers[0].name;
  const helpers = facts.tiers.slice(1).map((tier, at) => [tier, tiers[at + 1]]).filter(([, answered]) => answered > 0);
  const by = helpers.map(([tier, answered]) => `${tier.name} answered ${count(answered)}`).join(", ");
  const late = sum(points, "late");
  const held = sum(points, "held");
  const superseded = facts.coalesce ? " A newer event of the same key also replaces one that waits." : "";
  return [
    { name: "degraded", color: "amber", count: degraded, share: degraded / decided,
      why: `${best} could not have met their deadlines${by ? `: ${by}` : ""}.` },
    { name: "expired", color: "over", count: expired, share: expired / decided,
      why: `No tier could still meet the deadline. Published unscored, as “${facts.fallback}”.${superseded}` },
    { name: "overdue", color: "over", count: overdue, share: overdue / decided,
      why: "Scored, but the broker had the decision only after its deadline." },
    { name: "dead letters", color: "dead", count: dead, share: dead / (decided + dead),
      why: "No events: their records are kept untouched, with the reason, beside the decisions." },
    { name: "late", color: "muted", count: late, share: null,
      why: "Older than their entity’s lateness: decided, but not in later windows." },
    { name: "reads held", color: "muted", count: held, share: null,
      why: "The room for events in flight was full: partitions were left unread for a moment." },
  ].filter((each) => each.count > 0);
}

export function showGiven(store, points) {
  const found = givenUp(points, store.facts);
  const host = $("given");
  host.dataset.clear = String(!found.length && points.length > 0);
  if (!found.length) {
    const decided = sums(points, "outcomes", 5)[0];
    host.replaceChildren(element("li", "clear", points.length
      ? `Nothing. All ${count(decided)} events were scored by ${store.facts.tiers[0].name} and delivered inside their deadlines.`
      : "Nothing was decided yet."));
    return;
  }
  if (host.firstElementChild?.className === "clear") host.replaceChildren();
  rows(
    host,
    found,
    () => {
      const made = element("li");
      const line = element("p");
      line.append(element("i"), element("b"), element("span"), element("em"));
      made.append(line, element("small"));
      return made;
    },
    (node, { name, color, count: many, share, why }) => {
      const [mark, number, label, part] = node.firstElementChild.children;
      mark.style.background = `var(--${color})`;
      text(number, count(many));
      text(label, name);
      text(part, share === null ? "" : `${percent(share)} %`);
      text(node.lastElementChild, why);
    },
  );
}

export function showBatches(store, points) {
  const { sizes } = store.facts;
  const batches = sums(points, "batches", sizes.length);
  const all = Math.max(1, total(batches));
  const most = Math.max(...batches, 1);
  bars($("batches"), sizes.map((size, at) => ({
    name: size === 1 ? "1" : `≤ ${count(size)}`,
    share: batches[at] / most,
    value: batches[at] ? `${percent(batches[at] / all)} %` : "–",
  })));
  const spanS = points.length ? (points.at(-1).to_ms - points[0].from_ms) / 1000 : 0;
  const scored = total(sums(points, "tiers", store.facts.tiers.length));
  text($("batches-note"), spanS && total(batches)
    ? `${rate(total(batches) / spanS)} batches/s of ${rate(scored / total(batches))} rows on average. Small ones: sessions are idle. Large ones: they are busy.`
    : "Rows a batch, by the padded size it ran in.");
}

export function showLag(store, points) {
  const point = store.pointed();
  const found = Object.entries(point?.lag ?? {});
  found.sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0], "en", { numeric: true }));
  const shown = found.slice(0, LAG_ROWS_MAX);
  const most = points.reduce((high, each) => Math.max(high, ...Object.values(each.lag)), 1);
  const items = shown.map(([name, records]) => ({ name, share: records / most, value: count(records) }));
  if (found.length > shown.length) {
    const rest = found.slice(LAG_ROWS_MAX);
    items.push({ name: `${rest.length} more`, share: 0, value: count(total(rest.map(([, records]) => records))) });
  }
  bars($("lag"), items);
}

export function showCodes(store, points) {
  const found = Object.entries(tallies(points, "codes")).sort((a, b) => b[1] - a[1]);
  const since = store.head.summary?.totals.codes ?? {};
  const ever = total(Object.values(since));
  const most = Math.max(1, ...found.map(([, many]) => many));
  bars($("codes"), found.slice(0, CODE_ROWS_MAX).map(([name, many]) => ({
    name, share: many / most, value: count(many), color: "dead",
  })));
  const rest = found.length > CODE_ROWS_MAX ? ` ${plural(found.length - CODE_ROWS_MAX, "more code")} not shown.` : "";
  const kept = `They are in ${store.facts.topics.dead_letters}, each with its reason in the headers.`;
  text($("codes-note"), ever ? `${count(ever)} since the start. ${kept}${rest}` : "None since the start.");
}

function written(name, value) {
  if (EITHER.has(name)) return value ? "yes" : "no";
  if (name.endsWith("_s")) return duration(value);
  if (name.endsWith("_ms") && value >= 10_000) return duration(value / 1000);
  if (name.endsWith("_us")) return `${ms(value)} ms`;
  const number = Number.isInteger(value) || Math.abs(value) >= 1000 ? count(value) : String(Number(value.toPrecision(3)));
  if (name.endsWith("_ms")) return `${number} ms`;
  return name.endsWith("_bytes") || name.endsWith("_bytes_max") ? bytes(value) : number;
}

const spoken = (name) => name.replace(/_(us|ms|s|bytes)(?=\/|$)/, "").replaceAll("_", " ").replaceAll("/", ", ");

export function showLevels(store) {
  const totals = store.head.summary?.totals;
  if (!totals) return;
  const highest = {};
  for (const [name, value] of Object.entries(totals.levels)) {
    const whole = name.split("/")[0];
    highest[whole] = Math.max(highest[whole] ?? -Infinity, value);
  }
  const first = Object.entries(LEVELS).filter(([name]) => name in highest);
  pairs($("levels"), first.map(([name, label]) => {
    const most = highest[`${name}_max`];
    return [label, `${written(name, highest[name])}${most === undefined ? "" : ` of ${written(name, most)}`}`];
  }));
  const others = Object.entries(totals.levels).filter(([name]) => !(name in LEVELS) && !BILLED.has(name.split("/")[0]));
  pairs($("other-levels"), others.map(([name, value]) => [spoken(name), written(name.split("/")[0], value)]));
  const more = { delivered: totals.delivered, deadline_misses: totals.misses, late: totals.late, ...totals.counts };
  const counted = Object.entries(more).filter(([name]) => !BILLED.has(name.split("/")[0]));
  pairs($("counts"), counted.map(([name, value]) => [spoken(name), written(name, value)]));
}
