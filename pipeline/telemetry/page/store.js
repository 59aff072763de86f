// What the page knows: the last points, bounded, and what is chosen to be shown of them.
export const POINTS_MAX = 900;

export class Store {
  constructor() {
    this.facts = null;
    this.points = [];
    this.head = null;
    this.windowMs = 300_000;
    this.which = "age";
    this.cursorMs = null;
  }

  load(state) {
    this.facts = state.facts;
    this.points = state.points.slice(-POINTS_MAX);
    this.head = without(state);
  }

  /** Take news in; false where something is missing between what is known and what came. */
  add(news) {
    const next = this.points.length ? this.points.at(-1).number + 1 : 1;
    const first = news.points.length ? news.points[0].number : next;
    for (const point of news.points) {
      if (point.number >= next) this.points.push(point);
    }
    if (this.points.length > POINTS_MAX) this.points.splice(0, this.points.length - POINTS_MAX);
    this.head = without(news);
    return first <= next;
  }

  get endMs() {
    return this.points.length ? this.points.at(-1).to_ms : Date.now();
  }

  /** The points of the window, oldest first. */
  shown() {
    const fromMs = this.endMs - this.windowMs;
    let at = this.points.length;
    while (at > 0 && this.points[at - 1].to_ms > fromMs) at -= 1;
    return this.points.slice(at);
  }

  /** The point under the cursor, or the newest. */
  pointed() {
    if (this.cursorMs === null) return this.points.at(-1) ?? null;
    return this.points.findLast((point) => point.from_ms <= this.cursorMs) ?? this.points[0] ?? null;
  }

  /** Move the cursor by so many points; from nowhere it begins at the newest. */
  step(by) {
    if (!this.points.length) return;
    const now = this.pointed();
    const at = Math.min(Math.max(this.points.indexOf(now) + by, 0), this.points.length - 1);
    const point = this.points[at];
    this.cursorMs = (point.from_ms + point.to_ms) / 2;
  }
}

function without(message) {
  const { points: _points, decisions: _decisions, facts: _facts, ...head } = message;
  return head;
}

/** Sums over points: of numbers, of lists element by element, of tables name by name. */
export function sum(points, name) {
  return points.reduce((total, point) => total + point[name], 0);
}

export function sums(points, name, length) {
  const totals = new Array(length).fill(0);
  for (const point of points) point[name].forEach((value, at) => { totals[at] += value; });
  return totals;
}

export function tallies(points, name) {
  const totals = {};
  for (const point of points) {
    for (const key in point[name]) totals[key] = (totals[key] ?? 0) + point[name][key];
  }
  return totals;
}
