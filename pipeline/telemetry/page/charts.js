// The charts: stacked counts, lines on a log scale, a heat map. Each draws the points it is given and keeps none.
import { axisCount, axisMs } from "./format.js";
import { Plot } from "./plot.js";

/** A round number at or above, and a step that divides it. */
export function niceTop(most) {
  if (most <= 0) return { top: 1, step: 1 };
  const size = 10 ** Math.floor(Math.log10(most));
  const top = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((each) => each * size).find((each) => each >= most * 1.02) ?? 10 * size;
  const parts = { 1: 2, 1.5: 3, 2: 2, 3: 3, 4: 4, 5: 5, 6: 3, 8: 4, 10: 2 }[Math.round((top / size) * 10) / 10] ?? 2;
  return { top, step: top / parts };
}

export class StackPlot extends Plot {
  /** `series` are { color, of(point) } from the bottom up; `top` fixes the scale. */
  draw(points, series, { top = null, text = axisCount } = {}) {
    this.begin();
    const heights = points.map((point) => series.map((each) => Math.max(0, each.of(point))));
    const most = heights.reduce((high, each) => Math.max(high, each.reduce((a, b) => a + b, 0)), 0);
    const scale = top === null ? niceTop(most) : { top, step: top / 4 };
    const { y0, y1 } = this.inner;
    const y = (value) => y1 - (value / scale.top) * (y1 - y0);
    for (let value = 0; value <= scale.top * 1.001; value += scale.step) this.gridLine(y(value), text(value));
    const floors = new Float64Array(points.length);
    this.clipped((c) => {
      series.forEach((each, level) => {
        c.fillStyle = this.palette.color(each.color);
        c.beginPath();
        points.forEach((point, at) => {
          const height = heights[at][level];
          if (height <= 0) return;
          const x0 = Math.round(this.x(point.from_ms) * this.ratio) / this.ratio;
          const x1 = Math.round(this.x(point.to_ms) * this.ratio) / this.ratio;
          const low = y(floors[at]);
          const high = y(floors[at] + height);
          c.rect(x0, high, Math.max(x1 - x0, 0.5), Math.max(low - high, level ? 1 : 0));
          floors[at] += height;
        });
        c.fill();
      });
    });
    this.timeAxis();
    this.cursor();
    if (!points.length) this.nothing("nothing yet");
  }
}

export class LinePlot extends Plot {
  /** `series` are { color, width, name, of(point) }, null where there is a gap; a log scale from the data and `budget`. */
  draw(points, series, budget) {
    this.begin();
    let low = budget.us / 4;
    let high = budget.us * 2;
    for (const point of points) {
      for (const each of series) {
        const value = each.of(point);
        if (value === null) continue;
        low = Math.min(low, Math.max(value, 10));
        high = Math.max(high, value * 1.15);
      }
    }
    low = 10 ** (Math.floor(Math.log10(low) * 2) / 2);
    const { y0, y1 } = this.inner;
    const y = (us) => y1 - (Math.log(Math.max(us, low) / low) / Math.log(high / low)) * (y1 - y0);
    for (const us of ticks(low, high, (y1 - y0) / 22)) this.gridLine(y(us), axisMs(us));
    this.budgetLine(y(budget.us), budget.text);
    this.clipped((c) => {
      for (const each of series) this.line(c, points, each, y);
    });
    this.names(points, series, y);
    this.timeAxis();
    this.cursor();
    if (!points.length) this.nothing("nothing yet");
  }

  line(c, points, each, y) {
    c.strokeStyle = this.palette.color(each.color);
    c.lineWidth = each.width;
    c.lineJoin = "round";
    c.beginPath();
    let last = null;
    for (const point of points) {
      const value = each.of(point);
      if (value === null) {
        last = null;
        continue;
      }
      const x = this.x((point.from_ms + point.to_ms) / 2);
      if (last !== null && point.from_ms - last < 3000) c.lineTo(x, y(value));
      else c.moveTo(x, y(value));
      last = point.to_ms;
    }
    c.stroke();
  }

  /** Each line's name at its end, moved apart where they would lie on each other. */
  names(points, series, y) {
    const { context: c } = this;
    const point = points.at(-1);
    if (!point) return;
    const { x1, y0, y1 } = this.inner;
    const ends = series
      .filter((each) => each.of(point) !== null)
      .map((each) => ({ each, y: Math.min(Math.max(y(each.of(point)), y0 + 5), y1 - 5) }))
      .sort((a, b) => b.y - a.y);
    ends.forEach((end, at) => {
      if (at > 0) end.y = Math.min(end.y, ends[at - 1].y - 12);
    });
    const above = ends.length ? Math.max(0, y0 + 5 - ends.at(-1).y) : 0;
    for (const end of ends) end.y += above;
    c.textAlign = "left";
    c.textBaseline = "middle";
    c.fillStyle = this.palette.color("muted");
    for (const end of ends) {
      c.fillText(end.each.name, x1 + 5, end.y);
    }
  }
}

/** 1, 2 and 5 of each decade where there is room, else fewer. */
function ticks(low, high, room) {
  const decades = Math.log10(high / low);
  const leaders = decades * 3 <= room ? [1, 2, 5] : decades * 2 <= room ? [1, 3] : [1];
  const found = [];
  for (let size = 10 ** Math.floor(Math.log10(low)); size <= high; size *= 10) {
    for (const leader of leaders) if (leader * size >= low && leader * size <= high) found.push(leader * size);
  }
  return found;
}

const SHADES = 24;

export class HeatPlot extends Plot {
  /** A column a point, a row from each of `edges` (us) to the next; what is over the budget has the other colour. */
  draw(points, name, edges, budget) {
    this.begin();
    let lowest = edges.length;
    let highest = 0;
    let most = 1;
    for (const point of points) {
      const cells = point.heat[name];
      for (let at = 0; at < cells.length; at += 2) {
        lowest = Math.min(lowest, cells[at]);
        highest = Math.max(highest, cells[at]);
        most = Math.max(most, cells[at + 1]);
      }
    }
    const budgetRow = edges.findLastIndex((edge) => edge <= budget.us);
    lowest = Math.max(0, Math.min(lowest, budgetRow - 12) - 1);
    highest = Math.min(edges.length - 1, Math.max(highest, budgetRow + 1) + 1);
    this.rows = { lowest, highest, edges };
    this.most = most;
    this.rowLabels();
    this.cells(points, name, edges, budget.us, most);
    this.budgetLine(this.rowY(budgetRow + (budget.us - edges[budgetRow]) / (edges[budgetRow + 1] - edges[budgetRow])), budget.text);
    this.timeAxis();
    this.cursor();
    if (!points.length) this.nothing("nothing yet");
  }

  rowY(row) {
    const { y0, y1 } = this.inner;
    const { lowest, highest } = this.rows;
    return y1 - ((row - lowest) / (highest + 1 - lowest)) * (y1 - y0);
  }

  cells(points, name, edges, budgetUs, most) {
    const under = this.ramp("heat");
    const over = this.ramp("over");
    const scale = (SHADES - 1) / Math.log(most + 1);
    this.clipped((c) => {
      for (const point of points) {
        const x0 = Math.round(this.x(point.from_ms) * this.ratio) / this.ratio;
        const x1 = Math.round(this.x(point.to_ms) * this.ratio) / this.ratio;
        const cells = point.heat[name];
        for (let at = 0; at < cells.length; at += 2) {
          const ramp = edges[cells[at]] >= budgetUs ? over : under;
          const high = Math.round(this.rowY(cells[at] + 1) * this.ratio) / this.ratio;
          const low = Math.round(this.rowY(cells[at]) * this.ratio) / this.ratio;
          c.fillStyle = ramp[Math.round(Math.log(cells[at + 1] + 1) * scale)];
          c.fillRect(x0, high, Math.max(x1 - x0, 0.5), low - high);
        }
      }
    });
  }

  /** From nearly the panel's own colour to the named one. */
  ramp(name) {
    const from = this.palette.rgb("panel");
    const to = this.palette.rgb(name);
    return Array.from({ length: SHADES }, (_, shade) => {
      const part = 0.14 + (0.86 * shade) / (SHADES - 1);
      return `rgb(${from.map((low, at) => Math.round(low + (to[at] - low) * part)).join(" ")})`;
    });
  }

  rowLabels() {
    const { lowest, highest, edges } = this.rows;
    let lastY = Infinity;
    for (let row = lowest; row <= highest; row += 1) {
      const us = edges[row];
      const y = this.rowY(row);
      const round = us > 0 && (Number.isInteger(Math.log2(us / 1000)) || Number.isInteger(Math.log2(us)));
      if (!round || lastY - y < 20) continue;
      this.gridLine(y, axisMs(us));
      lastY = y;
    }
  }

  /** The row under the pointer, null where it is elsewhere. */
  rowUnderPointer() {
    if (this.pointerY === null || !this.rows) return null;
    const { y0, y1 } = this.inner;
    const { lowest, highest } = this.rows;
    if (this.pointerY < y0 || this.pointerY > y1) return null;
    return Math.min(highest, lowest + Math.floor(((y1 - this.pointerY) / (y1 - y0)) * (highest + 1 - lowest)));
  }
}
