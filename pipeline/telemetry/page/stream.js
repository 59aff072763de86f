// The line to the process: the whole state once, then a message a second; it comes back by itself.
const RETRY_MS = [500, 1000, 2500]; // where streams are refused, asking every 2.5 s is what is left

export class Line {
  /** `on.state` gets the whole state, `on.news` each message and says whether it joins on; `on.ended` an orderly end. */
  constructor(on) {
    this.on = on;
    this.heardMs = performance.now();
    this.refused = null;
    this.startedMs = null;
    this.known = "0.0";
    this.tries = 0;
    this.source = null;
  }

  async open() {
    try {
      const answer = await fetch("api/state", { cache: "no-store" });
      this.refused = answer.ok ? null : `${answer.status}: ${(await answer.text()).trim()}`;
      if (!answer.ok) return this.again();
      const state = await answer.json();
      this.heardMs = performance.now();
      this.startedMs = state.started_ms;
      this.known = `${state.number}.${state.decisions_number}`;
      this.on.state(state);
      this.listen();
    } catch {
      this.again();
    }
    return undefined;
  }

  listen() {
    this.source = new EventSource(`api/stream?after=${this.known}`);
    this.source.onmessage = (event) => this.take(event);
    this.source.addEventListener("end", () => this.on.ended());
    this.source.onerror = () => this.again();
  }

  take(event) {
    const news = JSON.parse(event.data);
    this.heardMs = performance.now();
    this.tries = 0;
    this.known = event.lastEventId;
    if (news.started_ms !== this.startedMs || !this.on.news(news)) this.again();
  }

  /** Begin anew, sooner the first time than the tenth. */
  again() {
    this.source?.close();
    this.source = null;
    const wait = RETRY_MS[Math.min(this.tries, RETRY_MS.length - 1)];
    this.tries += 1;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), wait);
  }

  get silentS() {
    return (performance.now() - this.heardMs) / 1000;
  }
}
