"""The reference of the fixed tables, written from the models themselves: `python -m pipeline.config.reference`."""

import sys
import types
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from features.duration import duration_ms, in_words
from pipeline.config.cascade_section import CascadeSection, RouteSection
from pipeline.config.cost_section import CostSection
from pipeline.config.drift_section import DriftSection
from pipeline.config.explain_section import ExplainSection
from pipeline.config.frame_sections import OverrideSection, ReuseSection
from pipeline.config.http_section import HttpSection
from pipeline.config.quality_section import QualitySection
from pipeline.config.rollout_section import RolloutSection
from pipeline.config.sections import (
    CheckpointSection,
    DecideSection,
    DeliverySection,
    EngineSection,
    ModelsSection,
    PipelineSection,
    PublishSection,
    StateSection,
    TierSection,
    TopicsSection,
)
from pipeline.config.trace_section import TraceSection

TABLES: dict[str, type[BaseModel]] = {
    "[pipeline]": PipelineSection,
    "[topics]": TopicsSection,
    "[models]": ModelsSection,
    "[[tiers]]": TierSection,
    "[tiers.state]": StateSection,
    "[cascade]": CascadeSection,
    "[[routes]]": RouteSection,
    "[decide]": DecideSection,
    "[[overrides]]": OverrideSection,
    "[reuse]": ReuseSection,
    "[publish]": PublishSection,
    "[delivery]": DeliverySection,
    "[checkpoint]": CheckpointSection,
    "[engine]": EngineSection,
    "[http]": HttpSection,
    "[trace]": TraceSection,
    "[cost]": CostSection,
    "[explain]": ExplainSection,
    "[drift]": DriftSection,
    "[quality]": QualitySection,
    "[rollout]": RolloutSection,
}
_TYPES = {str: "string", int: "whole number", float: "number", bool: "true or false"}


def reference(tables: Mapping[str, type[BaseModel]] | None = None) -> str:
    """A heading and a table of keys for each fixed table of the file (a pipeline's by default), as Markdown."""
    parts = [_section(heading, model) for heading, model in (tables or TABLES).items()]
    return "\n".join(parts)


def _section(heading: str, model: type[BaseModel]) -> str:
    lines = [f"### `{heading}`", "", "| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    for name, field in model.model_fields.items():
        kind = "duration" if _is_duration(field) else _type(field.annotation)
        meaning = " ".join((field.description or "").split())
        lines.append(f"| `{name}` | {kind} | {_default(field)} | {meaning} |")
    return "\n".join(lines) + "\n"


def _is_duration(field: FieldInfo) -> bool:
    return any(getattr(part, "func", None) is duration_ms for part in field.metadata)


def _default(field: FieldInfo) -> str:
    if field.default_factory is dict:
        return "none"
    if field.default is PydanticUndefined:
        return "needed"
    if field.default is None:
        return "unset"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    if _is_duration(field):
        return f'`"{in_words(field.default)}"`'
    if isinstance(field.default, tuple) and any(isinstance(part, BaseModel) for part in field.default):
        return "those of the SRE workbook"
    if isinstance(field.default, tuple):
        return f"`{list(field.default)}`".replace("'", '"')
    return f'`"{field.default}"`' if isinstance(field.default, str) else f"`{field.default:_}`"


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " or ".join(f'`"{value}"`' for value in arguments)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin in (typing.Union, types.UnionType):
        named = list(dict.fromkeys(_type(a) for a in arguments if a is not type(None)))
        return "number" if "number" in named else " or ".join(named)
    if origin is dict:
        return f"table of {_type(arguments[1])}s"
    if origin is tuple:
        return f"list of {_type(arguments[0])}s"
    return "table" if issubclass(annotation, BaseModel) else _TYPES[annotation]


if __name__ == "__main__":
    sys.stdout.write(reference())
