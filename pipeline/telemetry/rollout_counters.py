"""The counters of who answered, and of versions that come and go. Names lack `_total`."""

from pipeline.telemetry.families import Family, Samples, count
from pipeline.wire.metrics import MetricsRecord


def _served(record: MetricsRecord) -> Samples:
    for name, rows in record.counts.items():
        if name.startswith("served/"):
            tier, model, version = (*name.split("/")[1:], "", "")[:3]
            yield (tier, model, version), rows


ROLLOUT_COUNTERS = (
    Family(
        "headrace_served_rows",
        "rows",
        ("tier", "model", "version"),
        "Rows by the version of a model that answered them; a rule has neither.",
        _served,
    ),
    Family(
        "headrace_rollbacks",
        "rollbacks",
        (),
        "Candidates that were rolled back, by this process's rules or by another's word.",
        count("rollouts/rolled_back"),
    ),
    Family(
        "headrace_models_loaded",
        "models",
        (),
        "Versions that were loaded and warmed while the process ran.",
        count("rollouts/loaded"),
    ),
    Family(
        "headrace_models_refused",
        "models",
        (),
        "Versions that could not be loaded, or did not fit; what was stable went on.",
        count("rollouts/refused"),
    ),
    Family(
        "headrace_rollout_bad_records",
        "records",
        (),
        "Records of the control topic that were passed over.",
        count("rollouts/bad_records"),
    ),
    Family(
        "headrace_audit_undelivered",
        "records",
        (),
        "Audit records that their topic did not take.",
        count("audit_undelivered"),
    ),
    Family(
        "headrace_shadow_rows",
        "rows",
        (),
        "Copies of rows that the other version has scored, when there was time.",
        count("shadow_rows"),
    ),
    Family(
        "headrace_shadow_skipped",
        "rows",
        (),
        "Rows of which no copy was taken: there was no time, so no room.",
        count("shadow_skipped"),
    ),
)
