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

/** Levels that have a meaning of their own: a label and how to write them. */
export const LEVELS = {
  rows_in_flight: ["events in flight", ""],
  rows_pending: ["of them waiting for a session", ""],
  checkpoint_age_s: ["age of the last checkpoint", "s"],
  event_time_delay_ms: ["events' own times behind the clock", "ms"],
  clock_skew_ms: ["clock skew", "ms"],
};

export const GUARANTEE = { at_least_once: "at least once", exactly_once: "exactly once" };
