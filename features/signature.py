"""What an entity's stored keys mean: enough to tell whether a feature set can go on with them."""

from typing import Any

from features.aggregates import OP
from features.catalog import Catalog
from features.entity import EntityPlan
from features.model_state import ModelStatePlan
from features.outcome_spec import OutcomeSpec
from features.paned import PanedPlan

Signature = dict[str, Any]
"""Names and numbers only, so that it can be stored and compared."""
OUTCOMES = "outcomes"
"""The name that only signatures of outcome state have: changed, it begins anew, and nothing is read again for it."""


def signature_of(plan: EntityPlan | PanedPlan, catalog: Catalog) -> Signature:
    """The signature of one entity of a checked catalog."""
    fields = catalog.decided.fields

    def described(columns: Any) -> list[str]:
        names = [catalog.decided.schema_.names[int(column)] for column in columns]
        return [f"{name}: {fields[name].type}.{getattr(fields[name], 'decimals', None) or 0}" for name in names]

    shared: Signature = {"key": described([plan.key_column])[0], "lateness_ms": plan.lateness_ms}
    if isinstance(plan, PanedPlan):
        return shared | {
            "panes": plan.ring.panes,
            "pane_ms": plan.ring.width_ms,
            "sums": described(plan.sums),
            "extremes": [f"{int(row[OP])} of {described(row[1:2])[0]}" for row in plan.extremes],
        }
    labels = catalog.entities[plan.name].labels
    return shared | {
        "fields": described(plan.field_columns),
        "ordered": plan.ordered,
        "keep_ms": plan.keep_ms,
        "labels": f"{labels.input}.{labels.field}" if labels else "",
    }


def signature_of_outcomes(spec: OutcomeSpec, catalog: Catalog) -> Signature:
    """The signature of a declaration of outcome state."""
    field = catalog.decided.fields[spec.key]
    return {"key": f"{spec.key}: {field.type}.{field.decimals or 0}", OUTCOMES: spec.model_dump()["features"]}


def signature_of_model(plan: ModelStatePlan, catalog: Catalog) -> Signature:
    """The signature of what a recurrent model remembers: another model's state means something else."""
    field = catalog.decided.fields[plan.key]
    state = {"model": plan.sha256, "size": plan.size}
    return {"key": f"{plan.key}: {field.type}.{field.decimals or 0}", OUTCOMES: state}


def why_unfit(stored: Signature, wanted: Signature) -> str:
    """Why keys with the stored signature cannot serve the wanted one, "" when they can.

    Windows that reach less far back than what is stored are served by it; whatever else differs is not.
    """
    for name in sorted(stored.keys() | wanted.keys()):
        was, now = stored.get(name), wanted.get(name)
        if was == now or (name == "keep_ms" and was is not None and now is not None and now <= was):
            continue
        return f"{name} was {was!r}, is {now!r}"
    return ""
