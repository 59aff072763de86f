// Whether what is shown is now: live, silent (the server answers, the loop does not), or stale.
import { $, text } from "./dom.js";
import { duration, time } from "./format.js";

const STALE_S = 3;

export class Status {
  constructor(line, store) {
    this.line = line;
    this.store = store;
    this.over = false;
    setInterval(() => this.show(), 500);
  }

  heard() {
    this.over = false;
    this.show();
  }

  /** The process said that it ends, in order. */
  ended() {
    this.over = true;
    this.show();
  }

  now() {
    const { line, store } = this;
    const away = line.silentS;
    if (line.refused) return { state: "stale", short: "refused", long: `The process refuses to answer: ${line.refused}` };
    if (this.over) {
      const when = `${store.facts.pipeline} ended in order ${duration(away)} ago`;
      return { state: "stale", short: `ended ${duration(away)} ago`, long: `${when}. If it starts again, this page goes on by itself.` };
    }
    if (!store.head) return away > STALE_S ? { state: "stale", short: `no answer for ${duration(away)}`, long: "The process does not answer." } : { state: "connecting", short: "connecting" };
    if (away > STALE_S) {
      const asOf = store.points.length ? ` What you see is as of ${time(store.endMs)}.` : "";
      return { state: "stale", short: `stale for ${duration(away)}`, long: `Nothing was heard of ${store.facts.pipeline} for ${duration(away)}: it ended, stands still or cannot be reached.${asOf} Asking again all the time.` };
    }
    const silentS = store.head.silent_s + away;
    if (!store.head.number) return { state: "connecting", short: `starting for ${duration(silentS)}`, long: "The process answers and has decided nothing yet: models are warmed, state is restored, or the cluster is not there. Its log says which." };
    if (silentS > STALE_S + (2 * store.facts.metrics_ms) / 1000) {
      return { state: "stale", short: `loop silent for ${duration(silentS)}`, long: `The process answers, but its loop has told nothing for ${duration(silentS)}: it stands still, or is draining.` };
    }
    return { state: "live", short: "live" };
  }

  show() {
    const { state, short, long } = this.now();
    $("status").dataset.state = state;
    text($("status-text"), short);
    if (document.body.dataset.state !== state) text($("heard"), short); // told aloud when it changes, not each second
    document.body.dataset.state = state;
    const banner = $("banner");
    banner.hidden = !long;
    text(banner, long ?? "");
  }
}
