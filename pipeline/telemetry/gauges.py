"""The gauges of `/metrics`, read from the newest record: what is no longer there is not told any more."""

from collections.abc import Callable

from pipeline.telemetry.bill_families import BILL_GAUGES
from pipeline.telemetry.families import MS_PER_S, US_PER_S, Family, Samples, level, levels_of, one
from pipeline.wire.metrics import MetricsRecord


def _lag(record: MetricsRecord) -> Samples:
    for name, rows in record.lag.items():
        yield tuple(name.rsplit("/", 1)), rows


def _edges(name: str) -> Callable[[MetricsRecord], Samples]:
    """The edges of a range whose number is `name/found`."""

    def read(record: MetricsRecord) -> Samples:
        for edge in ("low", "high"):
            if f"{name}/{edge}" in record.levels:
                yield (edge,), record.levels[f"{name}/{edge}"]

    return read


GAUGES = (
    Family(
        "headrace_lag_records",
        "records",
        ("topic", "partition"),
        "Records of an assigned partition whose outcome is not delivered, by the last fetch's word.",
        _lag,
    ),
    Family(
        "headrace_partition_stalled_seconds",
        "seconds",
        ("topic", "partition"),
        "How long a partition that is being decided has had lag without moving.",
        levels_of("stalled_s", 2),
    ),
    Family("headrace_partitions", "partitions", (), "Partitions assigned to this process.", level("partitions")),
    Family("headrace_rows_in_flight", "rows", (), "Events between poll and delivery.", level("rows_in_flight")),
    Family(
        "headrace_rows_in_flight_max",
        "rows",
        (),
        "How many there may be (engine.rows_max).",
        level("rows_in_flight_max"),
    ),
    Family("headrace_rows_pending", "rows", (), "Events that wait for a session.", level("rows_pending")),
    Family(
        "headrace_publishing_blocked",
        "0 or 1",
        (),
        "1 while the producer's queue is full and nothing new is read.",
        level("publishing_blocked"),
    ),
    Family(
        "headrace_cluster_unreachable",
        "0 or 1",
        (),
        "1 while the producer has no connection to any broker.",
        level("cluster_unreachable"),
    ),
    Family(
        "headrace_delivery_promised_seconds",
        "seconds",
        (),
        "The time for delivery that deadlines leave room for, as learned.",
        level("delivery_ms", MS_PER_S),
    ),
    Family(
        "headrace_event_time_delay_seconds",
        "seconds",
        (),
        "The clock less the event time of the newest event that was decided.",
        level("event_time_delay_ms", MS_PER_S),
    ),
    Family(
        "headrace_clock_skew_seconds",
        "seconds",
        (),
        "How far a record's timestamp was ahead of this machine's clock at most, in the last minute.",
        level("clock_skew_ms", MS_PER_S),
    ),
    Family(
        "headrace_batch_cost_expected_seconds",
        "seconds",
        ("tier", "rows"),
        "What a run of so many rows takes now, by the cost model.",
        levels_of("cost_expected_us", 2, US_PER_S),
    ),
    Family(
        "headrace_batch_cost_promised_seconds",
        "seconds",
        ("tier", "rows"),
        "What 99 of 100 runs of so many rows take at most, by the cost model.",
        levels_of("cost_promised_us", 2, US_PER_S),
    ),
    Family(
        "headrace_rollout_share",
        "share of keys",
        ("tier",),
        "The share of the keys that a candidate answers; 0 without one, and in shadow.",
        levels_of("rollout_share"),
    ),
    Family(
        "headrace_rollout_shadow",
        "0 or 1",
        ("tier",),
        "1 while a candidate scores copies.",
        levels_of("rollout_shadow"),
    ),
    Family(
        "headrace_rollout_rows",
        "rows",
        ("tier",),
        "Rows that the candidate has scored in this step.",
        levels_of("rollout_rows"),
    ),
    Family(
        "headrace_rollout_score_ks",
        "distance",
        ("tier",),
        "How far the distributions of both versions' scores are apart at most, as seen in this step.",
        levels_of("rollout_ks"),
    ),
    Family(
        "headrace_rollout_score_psi",
        "index",
        ("tier",),
        "The population stability index between both versions' scores, as seen in this step.",
        levels_of("rollout_psi"),
    ),
    Family(
        "headrace_state_bytes",
        "bytes",
        (),
        "Memory taken by the windows of all entities and partitions.",
        level("state_bytes"),
    ),
    Family(
        "headrace_state_bytes_max",
        "bytes",
        (),
        "The bound on it (engine.memory_bytes_max).",
        level("state_bytes_max"),
    ),
    Family("headrace_state_keys", "keys", ("entity",), "Keys that have state, by entity.", levels_of("state_keys")),
    Family(
        "headrace_cascade_passed_share",
        "share",
        (),
        "Of the last window of rows, the share that a cascade's first model was unsure of.",
        level("cascade_passed_share/found"),
    ),
    Family(
        "headrace_cascade_passed_share_range",
        "share",
        ("edge",),
        "Where that share is to lie, by the calibration.",
        _edges("cascade_passed_share"),
    ),
    Family(
        "headrace_cascade_agreement",
        "share",
        (),
        "How far both models agreed on what went on: 1 less the mean distance of their scores, or the share of the "
        "same class.",
        level("cascade_agreement/found"),
    ),
    Family(
        "headrace_cascade_agreement_range",
        "share",
        ("edge",),
        "Where that is to lie, by the calibration.",
        _edges("cascade_agreement"),
    ),
    Family(
        "headrace_cascade_drifted",
        "0 or 1",
        (),
        "1 while either has left its range.",
        level("cascade_drifted"),
    ),
    Family(
        "headrace_cascade_disagreement",
        "share",
        (),
        "Of the last 2,000 audited rows, the share that the best tier decided otherwise.",
        level("cascade_disagreement"),
    ),
    Family(
        "headrace_cascade_sure",
        "1",
        ("threshold",),
        "The thresholds in force: the first model is sure of scores below the one and above the other.",
        levels_of("cascade_sure"),
    ),
    Family(
        "headrace_checkpoint_age_seconds",
        "seconds",
        ("slice",),
        "How long ago a checkpoint held all there was of a partition, or of the global entities.",
        levels_of("checkpoint_age_s"),
    ),
    Family(
        "headrace_drift_rows",
        "rows",
        (),
        "Rows of the last window that were held against the model's reference (where [drift] asks for it).",
        level("drift_rows"),
    ),
    Family(
        "headrace_drift_psi",
        "1",
        ("of",),
        "Population stability index of a feature, or of the score, against the model's reference.",
        levels_of("drift_psi"),
    ),
    Family(
        "headrace_drift_ks",
        "1",
        ("of",),
        "Kolmogorov-Smirnov distance of a feature, or of the score, from the model's reference.",
        levels_of("drift_ks"),
    ),
    Family(
        "headrace_drift_found",
        "0 or 1",
        ("of",),
        "1 while one of the two is above its limit (drift.psi_max, drift.ks_max), until both are well below.",
        levels_of("drift_found"),
    ),
    Family(
        "headrace_last_record_timestamp_seconds",
        "seconds since the epoch",
        (),
        "When the loop last told its metrics; a loop that hangs tells nothing.",
        one(lambda record: record.to_ms / MS_PER_S),
    ),
    *BILL_GAUGES,
)
