"""The counters of `/metrics`, read from the totals so far: nothing is counted twice. Names lack `_total`."""

from pipeline.telemetry.bill_families import BILL_COUNTERS
from pipeline.telemetry.families import US_PER_S, Family, Samples, count, counts_of, each, one
from pipeline.telemetry.rollout_counters import ROLLOUT_COUNTERS
from pipeline.wire.metrics import MetricsRecord


def _answered(record: MetricsRecord) -> Samples:
    for tier in record.tiers:
        yield (tier, "true"), record.in_time.get(tier, 0)
        yield (tier, "false"), record.overdue.get(tier, 0)


_MODEL_STATE = "model_state_"


def _reused(record: MetricsRecord) -> Samples:
    for match in ("same", "like"):
        if f"reused_{match}" in record.counts:
            yield (match,), record.counts[f"reused_{match}"]


def _model_state(record: MetricsRecord) -> Samples:
    for name, rows in record.counts.items():
        kind, _, tier = name.partition("/")
        if kind.startswith(_MODEL_STATE):
            yield (tier, kind.removeprefix(_MODEL_STATE)), rows


COUNTERS = (
    Family(
        "headrace_outcomes",
        "records",
        ("outcome",),
        "Records by how they ended: scored, degraded, expired, dead_letter or absorbed.",
        each(lambda record: record.outcomes),
    ),
    Family("headrace_read", "records", (), "Records read, labels and other state inputs too.", count("read")),
    Family(
        "headrace_delivered",
        "records",
        (),
        "Decisions and dead letters whose delivery the broker has reported.",
        one(lambda record: record.delivered),
    ),
    Family(
        "headrace_dead_letters",
        "records",
        ("code",),
        "Records that could not become an event, or whose decision could never be delivered, by reason.",
        each(lambda record: record.dead_letter_codes),
    ),
    Family(
        "headrace_deadline_misses",
        "decisions",
        (),
        "Decisions that expired or were delivered after their deadline.",
        one(lambda record: record.deadline_misses),
    ),
    Family(
        "headrace_late_events",
        "events",
        (),
        "Events older than their entity's lateness: scored, but not in later windows.",
        one(lambda record: record.late),
    ),
    Family(
        "headrace_disordered_events",
        "events",
        (),
        "Events of a global entity that came later than its delay: windows that passed lack them.",
        count("disordered"),
    ),
    Family(
        "headrace_key_disagreements",
        "events",
        (),
        "Events whose Kafka key is not their declared key: an entity is split over partitions.",
        count("key_disagreements"),
    ),
    Family(
        "headrace_unreadable_deadlines",
        "events",
        (),
        "Events whose own deadline could not be read; they had the pipeline's budget.",
        count("unreadable_deadlines"),
    ),
    Family("headrace_tier_rows", "rows", ("tier",), "Rows answered, by tier.", each(lambda record: record.tiers)),
    Family(
        "headrace_tier_delivered",
        "decisions",
        ("tier", "in_time"),
        "Scored rows whose delivery was reported, by tier and by whether the deadline was met; of the first tier and "
        "in time: goodput.",
        _answered,
    ),
    *ROLLOUT_COUNTERS,
    Family(
        "headrace_scores_not_finite",
        "rows",
        (),
        "Scores that were no finite number; those rows had the fallback decision.",
        count("not_finite"),
    ),
    Family(
        "headrace_answers_reused",
        "rows",
        ("match",),
        "Rows that had the answer of an earlier frame: of the same bytes, or of a picture like it.",
        _reused,
    ),
    Family(
        "headrace_reasons",
        "rows",
        (),
        "Rows whose decision says why (where [explain] asks for it).",
        count("reasons"),
    ),
    Family(
        "headrace_reasons_skipped",
        "rows",
        (),
        "Rows whose decision should, and had no time left to.",
        count("reasons_skipped"),
    ),
    Family(
        "headrace_reasons_seconds",
        "seconds",
        (),
        "What reasons took.",
        count("reasons_us", US_PER_S),
    ),
    Family(
        "headrace_cascade_rows",
        "rows",
        ("answer",),
        "Rows of a cascade's first model: sure, passed on to a better one, or kept as there was no time for that.",
        counts_of("cascade_rows"),
    ),
    Family(
        "headrace_cascade_audited",
        "rows",
        ("decided",),
        "Of the sure ones, those that the best tier scored too: decided the same, or otherwise.",
        counts_of("cascade_audited"),
    ),
    Family(
        "headrace_cascade_moves",
        "moves",
        (),
        "How often a cascade's thresholds were moved (cascade.recalibrate).",
        count("cascade_moved"),
    ),
    Family(
        "headrace_routed_rows",
        "rows",
        ("route",),
        "Rows that took a route of [[routes]].",
        counts_of("routed"),
    ),
    Family(
        "headrace_outcome_state_missed",
        "rows",
        (),
        "Rows that outcome state knows nothing of: expired, or answered by a rule.",
        count("outcomes_missed"),
    ),
    Family(
        "headrace_model_state_rows",
        "rows",
        ("tier", "what"),
        "Rows by what they were to a model's state: taken (those read again at a start too), disordered, not_finite "
        "or missed.",
        _model_state,
    ),
    Family("headrace_model_runs", "runs", ("tier",), "Runs of a tier's session.", counts_of("runs")),
    Family(
        "headrace_model_promises_broken",
        "runs",
        ("tier",),
        "Runs that took longer than was promised of them: one in a hundred should.",
        counts_of("promises_broken"),
    ),
    Family(
        "headrace_model_run_seconds",
        "seconds",
        ("tier",),
        "What a tier's runs took.",
        counts_of("run_us", US_PER_S),
    ),
    Family(
        "headrace_model_run_expected_seconds",
        "seconds",
        ("tier",),
        "What was expected of them by the cost model, each before it ran.",
        counts_of("run_expected_us", US_PER_S),
    ),
    Family(
        "headrace_reading_held",
        "times",
        (),
        "How often reading stopped because all places for events in flight were taken.",
        count("held"),
    ),
    Family(
        "headrace_undeliverable",
        "decisions",
        (),
        "Decisions that the topic can never take; each became a dead letter.",
        count("undeliverable"),
    ),
    Family(
        "headrace_transactions",
        "transactions",
        (),
        "Transactions committed (exactly_once alone).",
        count("transactions"),
    ),
    Family(
        "headrace_transactions_aborted",
        "transactions",
        (),
        "Transactions aborted; their bytes were published again (exactly_once alone).",
        count("aborted"),
    ),
    Family(
        "headrace_transaction_commit_seconds",
        "seconds",
        (),
        "What their commits took (exactly_once alone).",
        count("commit_us", US_PER_S),
    ),
    Family(
        "headrace_checkpoints",
        "checkpoints",
        (),
        "Slices of state written, one a partition and interval and the global one.",
        count("checkpoints"),
    ),
    Family(
        "headrace_checkpoints_failed",
        "checkpoints",
        (),
        "Slices that could not be written; the last one stays.",
        count("checkpoints_failed"),
    ),
    Family("headrace_checkpoint_bytes", "bytes", (), "What was written of them.", count("checkpoint_bytes")),
    Family("headrace_restored_keys", "keys", (), "Keys that came from checkpoints.", count("restored_keys")),
    Family("headrace_rebuilt_events", "events", (), "Events read again for state alone.", count("rebuilt")),
    Family(
        "headrace_traces",
        "events",
        (),
        "Events whose trace context was read (where [trace] asks for it).",
        count("traces"),
    ),
    Family(
        "headrace_traceparents_invalid",
        "events",
        (),
        "Events whose traceparent is none by the standard; their decisions carry none.",
        count("traceparents_invalid"),
    ),
    Family(
        "headrace_tracestates_dropped",
        "events",
        (),
        "Events whose tracestate could not be passed on: over 512 bytes, not printable, or more than one.",
        count("tracestates_dropped"),
    ),
    Family("headrace_spans", "spans", (), "Spans that their receiver has taken.", count("spans")),
    Family(
        "headrace_spans_dropped",
        "spans",
        (),
        "Spans that found no room in the queue or were not taken by the receiver.",
        count("spans_dropped"),
    ),
    Family(
        "headrace_kafka_errors",
        "errors",
        ("client",),
        "What the clients reported of connections and the cluster.",
        counts_of("kafka_errors"),
    ),
    *BILL_COUNTERS,
)
