"""Which checkpoint may be gone on from, what is rebuilt instead, and when the operator has to choose."""

import pytest

from features.catalog import Catalog
from features.signature import Signature, signature_of, why_unfit
from features.state import FeatureSet
from pipeline.config.load import load
from pipeline.state.choice import Bounds, LostStateError, check_whole, fit
from pipeline.state.manifest import Manifest

CUSTOMER: Signature = {"key": "customer: 6.0", "keep_ms": 100}
LOCAL = Manifest("t-0", [{"t/0": 50}, {"t/0": 60}], {"customer": CUSTOMER}, [], {})
WANTED = {"customer": CUSTOMER}


@pytest.mark.parametrize(
    ("bounds", "refused"),
    [
        (Bounds(0, 100, 60), ""),
        (Bounds(50, 60, 60), ""),
        (Bounds(0, 100, 59), "it stands for offset 60 of t/0, above the committed offset 59"),
        (Bounds(51, 100, 60), "it needs t/0 from offset 50 on, which begins at 51"),
        (Bounds(0, 59, 59), "it has taken t/0 up to 60, which ends at 59"),
    ],
)
def test_a_slice_is_usable_at_or_below_the_committed_offset_and_inside_its_topic(
    bounds: Bounds, refused: str
) -> None:
    assert fit(LOCAL, WANTED, {"t/0": bounds}).refused == refused


def test_a_partition_that_a_checkpoint_does_not_know_is_no_obstacle() -> None:
    assert not fit(LOCAL, WANTED, {"t/0": Bounds(0, 100, 60), "t/1": Bounds(5, 100)}).refused


def test_an_entity_that_changed_is_rebuilt_and_the_others_are_kept() -> None:
    wanted = WANTED | {"terminal": CUSTOMER, "card": CUSTOMER}
    manifest = Manifest("t-0", LOCAL.cuts, WANTED | {"card": CUSTOMER | {"keep_ms": 99}}, [], {})
    found = fit(manifest, wanted, {"t/0": Bounds(0, 100, 60)})
    assert found.rebuilt == {"terminal": "it is not in the checkpoint", "card": "keep_ms was 99, is 100"}


def test_outcome_state_that_changed_begins_empty_and_nothing_is_read_again_for_it() -> None:
    watched = {"key": "customer: id.0", "outcomes": {"rate": {"rows": 5}}}
    manifest = Manifest("t-0", LOCAL.cuts, WANTED | {"outcome_state.camera": watched}, [], {})
    kept = fit(manifest, WANTED | {"outcome_state.camera": watched}, {"t/0": Bounds(0, 100, 60)})
    assert not kept.left_out
    changed = watched | {"outcomes": {"rate": {"rows": 6}}}
    found = fit(manifest, WANTED | {"outcome_state.camera": changed}, {"t/0": Bounds(0, 100, 60)})
    assert not found.rebuilt
    assert list(found.left_out) == ["outcome_state.camera"]


def test_the_operator_chooses_when_a_topic_has_lost_what_is_needed() -> None:
    with pytest.raises(
        LostStateError, match=r"t-0: checkpoint c: damaged; t/0 begins at 7\..*on_lost = rebuild.*start-fresh"
    ):
        check_whole("t-0", {"c": "damaged"}, {}, "t/0 begins at 7", "stop")
    with pytest.raises(LostStateError, match=r"entity 'card': keep_ms was 99"):
        check_whole("t-0", {}, {"card": "keep_ms was 99"}, "t/0 begins at 7", "stop")
    check_whole("t-0", {"c": "damaged"}, {}, "", "stop")  # the topic has all of it
    check_whole("t-0", {}, {}, "t/0 begins at 7", "stop")  # there has never been a checkpoint
    check_whole("t-0", {"c": "damaged"}, {}, "t/0 begins at 7", "rebuild")
    check_whole("t-0", {"c": "damaged"}, {}, "t/0 begins at 7", "start-fresh")


def catalog(*assignments: str) -> Catalog:
    return load("fraud", environ={}, assignments=list(assignments)).config.catalog


def signatures(*assignments: str) -> dict[str, Signature]:
    found = catalog(*assignments)
    return {plan.name: signature_of(plan, found) for plan in FeatureSet(found).entities}


@pytest.mark.parametrize(
    ("assignment", "entity", "why"),
    [
        ("features.customer_mean_30d.span=29d", "customer", ""),  # the count still reaches 30 days back
        ("features.customer_new.entity=customer", "customer", ""),
        ("features.customer_count_30d.span=31d", "customer", "keep_ms was 2595600000, is 2682000000"),
        ("entities.customer.lateness=2h", "customer", "keep_ms"),
        ("entities.customer.lateness=30m", "customer", "lateness_ms was 3600000, is 1800000"),
        ("inputs.transactions.fields.amount.decimals=3", "customer", "fields was"),
        ("entities.customer.panes=30", "customer", "extremes was None"),
        ("entities.terminal.keys_expected=5", "terminal", ""),
    ],
)
def test_what_a_change_of_the_feature_set_leaves_usable(assignment: str, entity: str, why: str) -> None:
    extra = [assignment]
    if "customer_new" in assignment:
        extra += ["features.customer_new.aggregate=count", "features.customer_new.span=3d"]
    found = why_unfit(signatures()[entity], signatures(*extra)[entity])
    assert found.startswith(why) if why else not found


def test_windows_that_reach_less_far_back_are_served() -> None:
    assert not why_unfit(CUSTOMER, CUSTOMER | {"keep_ms": 99})
    assert why_unfit(CUSTOMER, CUSTOMER | {"keep_ms": 101}) == "keep_ms was 100, is 101"
