// What the page says of what it counts.
export const OUTCOME = {
  scored: "scored",
  degraded: "degraded",
  expired: "expired",
  dead_letter: "dead letter",
  absorbed: "absorbed",
};

export const STAGES = [
  ["queue", "waiting for a session"],
  ["features", "computing features"],
  ["score", "the model's run"],
  ["total", "arrival to hand-over"],
  ["delivery", "hand-over to the broker's report"],
  ["age", "record's timestamp to the report"],
];

export const WHICH = {
  age: "Age: from the record's timestamp until the broker reported its decision delivered. What objectives are held to.",
  total: "In process: from arrival in this process until its decision was handed to the producer.",
};

/** Levels that are shown at once, in this order; of those with parts (`name/part`) the highest. */
export const LEVELS = {
  rows_in_flight: "events in flight",
  rows_pending: "of them waiting for a session",
  delivery_ms: "delivery is expected to take",
  state_bytes: "windows take",
  checkpoint_age_s: "oldest checkpoint",
  stalled_s: "longest without progress",
  event_time_delay_ms: "events' own times behind the clock",
  clock_skew_ms: "clock skew",
  publishing_blocked: "publishing blocked",
  cluster_unreachable: "cluster unreachable",
};
/** What the panel of costs shows instead: their parts are as many as there are tenants. */
export const BILLED = new Set([
  "cpu_us", "gpu_us", "energy_mj", "decisions", "model_rows", "cost_micros",
  "cost_a_day", "cost_per_million", "budget_a_day", "budget_per_million",
]);
/** Levels that are either so or not. */
export const EITHER = new Set(["publishing_blocked", "cluster_unreachable"]);

export const GUARANTEE = { at_least_once: "at least once", exactly_once: "exactly once" };
