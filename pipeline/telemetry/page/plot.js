// A canvas over time: sharp at any pixel ratio, one cursor for all, arrow keys as well as a pointer.
import { minute, time } from "./format.js";

const STEPS_S = [5, 10, 15, 30, 60, 120, 300];
const LABEL_PX = 64;

/** Resolved colours of the theme by the name of the custom property. */
export class Palette {
  constructor() {
    this.probe = document.createElement("i");
    this.probe.hidden = true;
    document.body.append(this.probe);
    this.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    this.known = new Map();
    document.addEventListener("theme", () => this.known.clear());
  }

  color(name) {
    if (!this.known.has(name)) {
      this.probe.style.color = `var(--${name})`;
      this.known.set(name, getComputedStyle(this.probe).color);
    }
    return this.known.get(name);
  }

  /** Red, green and blue of a colour. */
  rgb(name) {
    return this.color(name).match(/[\d.]+/g).slice(0, 3).map(Number);
  }
}

export class Plot {
  constructor(host, store, palette, options) {
    this.store = store;
    this.palette = palette;
    this.left = options.left ?? 44;
    this.right = options.right ?? 10;
    this.top = 8;
    this.bottom = 18;
    this.pointerY = null;
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", options.label);
    this.label = options.label;
    host.append(this.canvas);
    this.redraw = options.redraw;
    new ResizeObserver(() => this.fit()).observe(host);
    this.fit();
    this.listen();
  }

  fit() {
    const box = this.canvas.parentElement.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    this.width = Math.max(120, Math.floor(box.width));
    this.height = Math.max(80, Math.floor(box.height));
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.canvas.style.width = `${this.width}px`;
    this.canvas.style.height = `${this.height}px`;
    this.ratio = ratio;
    this.redraw();
  }

  listen() {
    const store = this.store;
    this.canvas.addEventListener("pointermove", (event) => {
      const box = this.canvas.getBoundingClientRect();
      store.cursorMs = this.timeAt(event.clientX - box.left);
      this.pointerY = event.clientY - box.top;
      this.redraw();
    });
    this.canvas.addEventListener("pointerleave", () => this.letGo());
    this.canvas.addEventListener("blur", () => this.letGo());
    this.canvas.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
      if (by) store.step(by);
      else if (event.key === "Escape") store.cursorMs = null;
      else return;
      event.preventDefault();
      this.redraw();
    });
  }

  letGo() {
    this.store.cursorMs = null;
    this.pointerY = null;
    this.redraw();
  }

  get inner() {
    return { x0: this.left, x1: this.width - this.right, y0: this.top, y1: this.height - this.bottom };
  }

  x(atMs) {
    const { x0, x1 } = this.inner;
    return x1 - ((this.store.endMs - atMs) / this.store.windowMs) * (x1 - x0);
  }

  timeAt(x) {
    const { x0, x1 } = this.inner;
    return this.store.endMs - ((x1 - x) / (x1 - x0)) * this.store.windowMs;
  }

  begin() {
    const context = this.canvas.getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    context.font = this.palette.font;
    context.lineWidth = 1;
    this.context = context;
    return context;
  }

  /** Draw inside the axes only. */
  clipped(draw) {
    const { x0, x1, y0, y1 } = this.inner;
    this.context.save();
    this.context.beginPath();
    this.context.rect(x0, y0 - 1, x1 - x0, y1 - y0 + 2);
    this.context.clip();
    draw(this.context);
    this.context.restore();
  }

  timeAxis() {
    const { context: c } = this;
    const { x0, x1, y1 } = this.inner;
    const { endMs, windowMs } = this.store;
    const room = Math.max(2, Math.floor((x1 - x0) / LABEL_PX));
    const stepMs = (STEPS_S.find((step) => windowMs / 1000 / step <= room) ?? 300) * 1000;
    c.fillStyle = this.palette.color("muted");
    c.textAlign = "center";
    c.textBaseline = "alphabetic";
    c.strokeStyle = this.palette.color("line");
    for (let atMs = Math.ceil((endMs - windowMs) / stepMs) * stepMs; atMs <= endMs; atMs += stepMs) {
      const x = Math.round(this.x(atMs)) + 0.5;
      c.beginPath();
      c.moveTo(x, y1);
      c.lineTo(x, y1 + 4);
      c.stroke();
      const text = stepMs >= 60_000 ? minute(atMs) : time(atMs);
      if (x - x0 > 16 && x1 - x > 16) c.fillText(text, x, this.height - 3);
    }
    c.beginPath();
    c.moveTo(x0, y1 + 0.5);
    c.lineTo(x1, y1 + 0.5);
    c.stroke();
  }

  gridLine(y, text) {
    const { context: c } = this;
    const { x0, x1 } = this.inner;
    c.strokeStyle = this.palette.color("line");
    c.beginPath();
    c.moveTo(x0, Math.round(y) + 0.5);
    c.lineTo(x1, Math.round(y) + 0.5);
    c.stroke();
    c.fillStyle = this.palette.color("muted");
    c.textAlign = "right";
    c.textBaseline = "middle";
    c.fillText(text, x0 - 6, y);
  }

  budgetLine(y, text) {
    const { context: c } = this;
    const { x0, x1, y0 } = this.inner;
    c.save();
    c.strokeStyle = this.palette.color("over");
    c.fillStyle = this.palette.color("over");
    c.setLineDash([5, 4]);
    c.lineWidth = 1.5;
    c.beginPath();
    c.moveTo(x0, Math.round(y) + 0.5);
    c.lineTo(x1, Math.round(y) + 0.5);
    c.stroke();
    c.font = `600 ${this.palette.font}`;
    c.textAlign = "left";
    c.textBaseline = y - y0 > 16 ? "bottom" : "top";
    c.strokeStyle = this.palette.color("panel");
    c.setLineDash([]);
    c.lineWidth = 3;
    c.strokeText(text, x0 + 5, y - 2);
    c.fillText(text, x0 + 5, y - 2);
    c.restore();
  }

  cursor() {
    if (this.store.cursorMs === null) return;
    const { context: c } = this;
    const { x0, x1, y0, y1 } = this.inner;
    const x = Math.round(this.x(this.store.cursorMs)) + 0.5;
    if (x < x0 || x > x1) return;
    c.strokeStyle = this.palette.color("ink");
    c.globalAlpha = 0.55;
    c.beginPath();
    c.moveTo(x, y0);
    c.lineTo(x, y1);
    c.stroke();
    c.globalAlpha = 1;
  }

  nothing(text) {
    const { context: c } = this;
    const { x0, x1, y0, y1 } = this.inner;
    c.fillStyle = this.palette.color("muted");
    c.textAlign = "center";
    c.textBaseline = "middle";
    c.fillText(text, (x0 + x1) / 2, (y0 + y1) / 2);
  }

  /** What a screen reader is told; set seldom, or it would never be quiet. */
  describe(text) {
    this.canvas.setAttribute("aria-label", `${this.label}. ${text}`);
  }
}
