"""What a cascade and routes need of the ladder of tiers and of the catalog."""

from collections.abc import Sequence

from features.catalog import Catalog
from features.expression import names_in
from pipeline.config.cascade_section import CascadeSection, RouteSection
from pipeline.config.problems import near
from pipeline.config.sections import PipelineSection, TierSection

_LISTABLE: dict[str, tuple[type, ...]] = {"id": (int, str), "string": (str,), "int": (int,)}
"""Types of fields that can be compared with a list, and what their values are."""


def check_ladders(
    cascade: CascadeSection,
    routes: Sequence[RouteSection],
    tiers: Sequence[TierSection],
    pipeline: PipelineSection,
    catalog: Catalog,
) -> None:
    """Raises ValueError that names the table and key, what was found and what was expected."""
    names = [tier.name for tier in tiers]
    if cascade.first:
        _check_cascade(cascade, names, tiers, catalog)
    given = [route.name for route in routes]
    if twice := sorted({name for name in given if given.count(name) > 1}):
        raise ValueError(f"routes: {', '.join(twice)} is named twice")
    by_features = ""
    for route in routes:
        _check_route(route, tiers, pipeline, catalog)
        if uses_features(route, catalog):
            by_features = by_features or route.name
        if route.budget_ms is not None and by_features:
            raise ValueError(
                f"routes: {route.name}: budget_ms: {by_features} looks at features, which are computed for what has "
                f"time left: expected budgets on routes before it, that look at fields alone"
            )


def _check_cascade(
    cascade: CascadeSection, names: Sequence[str], tiers: Sequence[TierSection], catalog: Catalog
) -> None:
    if cascade.first not in names:
        raise ValueError(f"cascade.first: no tier {cascade.first!r}{near(cascade.first, names)}")
    place = names.index(cascade.first)
    if place == 0 or tiers[place].rule:
        what = "the best tier" if place == 0 else "a rule"
        raise ValueError(f"cascade.first: {cascade.first} is {what}, expected a model below the best")
    image = catalog.decided.format == "image"
    if (cascade.sure_min is not None) != image:
        raise ValueError(
            f"cascade.sure_min: found {'none' if image else 'it'}, expected {'it' if image else 'none'}: images are "
            "settled by the probability of their likeliest class, all else by sure_below and sure_above"
        )


def _check_route(
    route: RouteSection, tiers: Sequence[TierSection], pipeline: PipelineSection, catalog: Catalog
) -> None:
    where, names = f"routes: {route.name}", [tier.name for tier in tiers]
    for name in route.tiers:
        if name not in names:
            raise ValueError(f"{where}: tiers: no tier {name!r}{near(name, names)}")
    places = [names.index(name) for name in route.tiers]
    if places != sorted(places):
        raise ValueError(f"{where}: tiers: found {', '.join(route.tiers)}, expected the order of [[tiers]]")
    if len(places) == 1 and tiers[places[0]].rule:
        raise ValueError(f"{where}: tiers: {route.tiers[0]} is a rule, expected a model first")
    if route.budget_ms is not None and route.budget_ms > pipeline.budget_ms_max:
        raise ValueError(f"{where}: budget_ms {route.budget_ms} is above budget_ms_max {pipeline.budget_ms_max}")
    fields = list(catalog.decided.schema_.fields)
    if route.field and route.field not in fields:
        raise ValueError(f"{where}: field: no field {route.field!r}{near(route.field, fields)}")
    if route.field:
        _check_values(where, route, catalog.decided.schema_.fields[route.field].type)
    known = [*fields, *(name for name in catalog.features if name not in fields)]
    for name in names_in(f"{where}: when", route.when) if route.when else []:
        if name not in known:
            raise ValueError(f"{where}: when: no field or feature {name!r}{near(name, known)}")
        if name in fields and catalog.decided.schema_.fields[name].type in ("id", "string"):
            raise ValueError(f"{where}: when: {name} is no number, expected field = {name!r} with values")


def _check_values(where: str, route: RouteSection, kind: str) -> None:
    if kind not in _LISTABLE:
        raise ValueError(
            f"{where}: field: {route.field} has type {kind!r}, expected {', '.join(_LISTABLE)}; of numbers say `when`"
        )
    for value in route.values:
        if not isinstance(value, _LISTABLE[kind]):
            raise ValueError(f"{where}: values: found {value!r}, the field {route.field} has type {kind!r}")


def uses_features(route: RouteSection, catalog: Catalog) -> bool:
    """Whether a route looks at what is computed, not only at what the event has."""
    fields = catalog.decided.schema_.fields
    return bool(route.when) and any(name not in fields for name in names_in(route.name, route.when))
