// The page: one line to the process, one store, and everything drawn anew when either has news.
import { HeatPlot, LinePlot, StackPlot } from "./charts.js";
import { showCost } from "./cost.js";
import { Decisions } from "./decisions.js";
import { $, choose, legend, text } from "./dom.js";
import { axisMs, count, duration, ms, percent, rate, time } from "./format.js";
import { showFacts, showNumbers, showStages } from "./numbers.js";
import { showBatches, showCodes, showGiven, showLag, showLevels } from "./panels.js";
import { Palette } from "./plot.js";
import { showSlo } from "./slo.js";
import { Status } from "./status.js";
import { Store } from "./store.js";
import { Line } from "./stream.js";
import { OUTCOME, WHICH } from "./words.js";

const OUTCOME_COLORS = ["blue", "amber", "over", "dead", "absorbed"];
const TIER_COLORS = ["blue", "amber", "rule", "teal", "dead"];
const QUANTILES = [
  { at: 0, name: "p50", color: "q50", width: 1.5 },
  { at: 1, name: "p99", color: "q99", width: 2 },
  { at: 2, name: "p99.9", color: "q999", width: 1.25 },
];
const DESCRIBED_EVERY_MS = 15_000;
const WIDE_RIGHT_PX = 42; // room for the lines' names; the same in all three, so that a second is one column

const store = new Store();
const palette = new Palette();
const decisions = new Decisions();
let due = false;
let describedMs = -DESCRIBED_EVERY_MS;

function redraw() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    if (store.facts) draw();
  });
}

const plots = {
  outcomes: new StackPlot($("p-outcomes"), store, palette, { label: "Records a second by outcome, over time", right: WIDE_RIGHT_PX, redraw }),
  latency: new LinePlot($("p-latency"), store, palette, { label: "p50, p99 and p99.9 of the latency over time, against the budget", right: WIDE_RIGHT_PX, redraw }),
  heat: new HeatPlot($("p-heat"), store, palette, { label: "How many events had which latency, over time", right: WIDE_RIGHT_PX, redraw }),
  tiers: new StackPlot($("p-tiers"), store, palette, { label: "Share of the decisions by tier, over time", redraw }),
  lag: new StackPlot($("p-lag"), store, palette, { label: "Records behind, all partitions, over time", redraw }),
};

const spanS = (point) => Math.max(1, point.to_ms - point.from_ms) / 1000;
const total = (list) => list.reduce((a, b) => a + b, 0);

function draw() {
  const points = store.shown();
  const point = store.pointed();
  drawOutcomes(points, point);
  drawLatency(points, point);
  drawHeat(points, point);
  drawTiers(points, point);
  drawLag(points, point);
  describe(point);
}

function drawOutcomes(points, point) {
  const names = store.facts.outcomes;
  const series = names.map((_, at) => ({ color: OUTCOME_COLORS[at], of: (each) => each.outcomes[at] / spanS(each) }));
  plots.outcomes.draw(points, series);
  legend($("l-outcomes"), names.map((name, at) => ({
    color: OUTCOME_COLORS[at], name: OUTCOME[name], value: point ? rate(series[at].of(point)) : "–",
  })));
}

function budget() {
  return { us: store.facts.budget_ms * 1000, text: `budget ${count(store.facts.budget_ms)} ms` };
}

function drawLatency(points, point) {
  const of = (each, at) => each.quantiles_us[store.which]?.[at] ?? null;
  const series = QUANTILES.map((each) => ({ ...each, of: (one) => of(one, each.at) }));
  plots.latency.draw(points, series, budget());
  legend($("l-latency"), series.map(({ color, name, of: at }) => ({ color, name, value: point ? ms(at(point)) : "–" })));
}

function drawHeat(points, point) {
  const edges = store.facts.edges_us[store.which];
  plots.heat.draw(points, store.which, edges, budget());
  text($("heat-legend"), `1 to ${count(plots.heat.most)} events in a cell, darker where there are more; a column is a second`);
  text($("heat-readout"), point ? heatReadout(point, edges) : "");
}

function heatReadout(point, edges) {
  const cells = point.heat[store.which];
  const row = plots.heat.rowUnderPointer();
  const at = time(point.to_ms);
  if (row === null || store.cursorMs === null) {
    const events = cells.filter((_, index) => index % 2).reduce((a, b) => a + b, 0);
    return `${at}: ${count(events)} events`;
  }
  const index = cells.findIndex((each, place) => place % 2 === 0 && each === row);
  const upper = edges[row + 1];
  const range = upper ? `${axisMs(edges[row])} to ${axisMs(upper)} ms` : `${axisMs(edges[row])} ms and more`;
  return `${at}, ${range}: ${count(index < 0 ? 0 : cells[index + 1])} events`;
}

function drawTiers(points, point) {
  const tiers = [...store.facts.tiers.map((tier) => tier.name), "expired"];
  const of = (each, at) => (at < tiers.length - 1 ? each.tiers[at] : each.outcomes[2]);
  const all = (each) => total(each.tiers) + each.outcomes[2];
  const color = (at) => (at === tiers.length - 1 ? "over" : TIER_COLORS[Math.min(at, TIER_COLORS.length - 1)]);
  const series = tiers.map((_, at) => ({ color: color(at), of: (each) => (all(each) ? of(each, at) / all(each) : 0) }));
  plots.tiers.draw(points, series, { top: 1, text: (share) => `${Math.round(share * 100)} %` });
  legend($("l-tiers"), tiers.map((name, at) => ({
    color: color(at), name, value: point && all(point) ? `${percent(series[at].of(point))} %` : "–",
  })));
}

function drawLag(points, point) {
  const behind = (each) => total(Object.values(each.lag));
  plots.lag.draw(points, [{ color: "blue", of: behind }]);
  legend($("l-lag"), [{ color: "blue", name: "all partitions", value: point ? count(behind(point)) : "–" }]);
  showLag(store, points);
}

function describe(point) {
  if (!point || performance.now() - describedMs < DESCRIBED_EVERY_MS) return;
  describedMs = performance.now();
  const named = store.facts.outcomes.map((name, at) => `${OUTCOME[name]} ${rate(point.outcomes[at] / spanS(point))}`);
  plots.outcomes.describe(`At ${time(point.to_ms)}, a second: ${named.join(", ")}.`);
  const [p50, p99, p999] = point.quantiles_us[store.which] ?? [null, null, null];
  const told = `p50 ${ms(p50)}, p99 ${ms(p99)}, p99.9 ${ms(p999)} ms of ${store.facts.budget_ms}`;
  plots.latency.describe(`At ${time(point.to_ms)}: ${told}.`);
  plots.lag.describe(`At ${time(point.to_ms)}: ${count(total(Object.values(point.lag)))} records.`);
}

function show() {
  const points = store.shown();
  showFacts(store);
  showNumbers(store);
  showStages(store);
  showGiven(store, points);
  showBatches(store, points);
  showCodes(store, points);
  showLevels(store);
  showSlo(store.head.slo);
  showCost(store);
  const span = points.length ? (points.at(-1).to_ms - points[0].from_ms) / 1000 : 0;
  for (const node of document.querySelectorAll(".span")) text(node, span ? `last ${duration(span)}` : "");
  text($("as-of"), points.length ? `as of ${time(store.endMs)}` : "");
  text($("which-note"), WHICH[store.which]);
  document.body.dataset.number = store.head.number;
  redraw();
}

const line = new Line({
  state(state) {
    store.load(state);
    decisions.clear();
    decisions.add(state.decisions);
    status.heard();
    show();
  },
  news(news) {
    const joined = store.add(news);
    decisions.add(news.decisions);
    status.heard();
    show();
    return joined;
  },
  ended: () => status.ended(),
});
const status = new Status(line, store);

choose($("window"), "minutes", (minutes) => {
  store.windowMs = Number(minutes) * 60_000;
  if (store.facts) show();
});
choose($("which"), "which", (which) => {
  store.which = which;
  if (store.facts) show();
});
document.addEventListener("theme", redraw);
line.open();
