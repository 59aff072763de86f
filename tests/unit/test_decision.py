"""A decision as the design writes it, and the corners of what it can say."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rows import NO_TIMESTAMP, Outcome
from pipeline.servings import Serving, Servings, TierLabel
from pipeline.wire.decision import DecisionEncoder, EncodedMemory
from tests.laws.decision_reader import (
    LABELS,
    NAMES,
    PLAIN,
    SERVINGS,
    TIERS,
    WITH_FEATURES,
    decoded,
    encoded,
    key_of,
    new_rows,
    slots_of,
    text_of,
)


def test_the_fields_and_their_order_are_the_contract() -> None:
    rows = new_rows(4)
    rows.score[3] = 0.913
    rows.decision[3] = 1
    (message,) = encoded(PLAIN, rows, slots_of(3))
    assert text_of(message).decode() == (
        '{"v":1,"pipeline":"fraud","id":"3","outcome":"scored","decision":"review","score":0.913000,'
        '"tier":"primary","model":"fraud-gbt","version":"1","provider":"CPUExecutionProvider",'
        '"event_time":1522540831003,"deadline_met":true,'
        '"latency_us":{"queue":2800,"features":200,"score":900,"total":9997},"age_us":247000,'
        '"source":["transactions",3,10003]}'
    )
    assert message["_private"] == 4


def test_an_expired_row_has_no_score_and_no_model() -> None:
    rows = new_rows(1)
    rows.outcome[0], rows.serving[0], rows.decision[0] = Outcome.EXPIRED, 0, 1
    rows.dispatch_ns[0] = rows.score_ns[0] = 10**15  # what an earlier user of the slot left behind
    (message,) = encoded(PLAIN, rows, slots_of(0))
    read = decoded(message)
    assert (read["outcome"], read["decision"], read["tier"]) == ("expired", "review", "expired")
    assert [read[name] for name in ("score", "model", "version", "provider")] == [None] * 4
    assert read["latency_us"] == {"queue": 9800, "features": 200, "score": 0, "total": 10_000}


def test_deadline_met_counts_the_delivery_in() -> None:
    rows = new_rows(1)
    for now_ns, met in ((148_000_000, True), (148_000_001, False)):
        (message,) = encoded(PLAIN, rows, slots_of(0), now_ns)
        assert decoded(message)["deadline_met"] is met


def test_latency_is_never_negative_and_age_says_when_clocks_disagree() -> None:
    rows = new_rows(2)
    rows.timestamp_ms[:] = (1_700_000_000_251, NO_TIMESTAMP)
    rows.dispatch_ns[:] = 0
    ahead, without = encoded(PLAIN, rows, slots_of(0, 1), now_ns=0)
    assert set(decoded(ahead)["latency_us"].values()) == {0, 200, 900}
    assert decoded(ahead)["age_us"] == -1000
    assert decoded(without)["age_us"] is None


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (0.0, "0.000000"),
        (0.9999999, "1.000000"),
        (-3.25, "-3.250000"),
        (1e-7, "0.000000"),
        (7e11, "699999977472.000000"),
        (1e20, "1.000000e20"),
        (3.4e38, "3.400000e38"),
        (np.nan, "null"),
        (np.inf, "null"),
        (-np.inf, "null"),
    ],
)
def test_scores_are_json_whatever_a_model_gives(score: float, text: str) -> None:
    rows = new_rows(1)
    rows.score[0] = score
    (message,) = encoded(PLAIN, rows, slots_of(0))
    assert f'"score":{text},'.encode() in text_of(message)
    assert decoded(message)["score"] == json.loads(text)


def test_a_null_key_goes_by_the_source_partition_and_an_empty_key_is_a_key() -> None:
    rows = new_rows(10)
    held = np.frombuffer(b"foobar", np.uint8)
    rows.key_address[0], rows.key_length[0] = held.ctypes.data, 6
    rows.key_address[1], rows.key_length[1] = held.ctypes.data, 0
    rows.partition[9] = 9
    keyed, empty, null = encoded(PLAIN, rows, slots_of(0, 1, 9))
    assert (key_of(keyed), keyed["partition"]) == (b"foobar", (-790332482 & 0x7FFFFFFF) % 6)
    assert (key_of(empty), empty["partition"]) == (b"", (275646681 & 0x7FFFFFFF) % 6)
    assert (key_of(null), null["partition"]) == (None, 9 % 6)


def test_an_absent_id_is_null() -> None:
    rows = new_rows(1)
    rows.id_length[0] = -2
    assert decoded(encoded(PLAIN, rows, slots_of(0))[0])["id"] is None


def test_no_rows_no_messages() -> None:
    assert len(encoded(WITH_FEATURES, new_rows(1), slots_of())) == 0


def test_a_batch_larger_than_any_before_makes_room() -> None:
    rows = new_rows(3000)
    for slots in (slots_of(7), np.arange(3000, dtype=np.int32), slots_of(8)):
        messages = encoded(PLAIN, rows, slots)
        assert [decoded(message)["id"] for message in messages] == [str(slot) for slot in slots]
        assert (messages["_private"] == slots + 1).all()


def test_what_was_written_to_memory_of_ones_own_stays_when_others_are_encoded() -> None:
    rows, mine = new_rows(600), EncodedMemory()
    times = {"now_ns": 60_000_000, "now_ms": 1_700_000_000_250, "delivery_ns": 2_000_000, "partitions": 6}
    kept = PLAIN.encode(rows, slots_of(5, 6), **times, memory=mine)
    before = [text_of(message) for message in kept]
    others = PLAIN.encode(rows, np.arange(600, dtype=np.int32), **times, memory=EncodedMemory())
    encoded(PLAIN, rows, slots_of(9))
    assert [text_of(message) for message in kept] == before == [text_of(message) for message in others[5:7]]
    again = PLAIN.encode(rows, np.arange(600, dtype=np.int32), **times, memory=mine)
    assert [decoded(message)["id"] for message in again] == [str(slot) for slot in range(600)]


@pytest.mark.parametrize("identity", ["".join(map(chr, range(128))), "\\", '"', "a\\", "\u2028é😀\x7f", ""])
def test_a_text_id_reads_back_as_it_was(identity: str) -> None:
    rows = new_rows(1)
    held = np.frombuffer(identity.encode() + b"!", np.uint8)
    rows.id_value[0], rows.id_length[0] = held.ctypes.data, len(held) - 1
    assert decoded(encoded(PLAIN, rows, slots_of(0))[0])["id"] == identity


CLASSED = DecisionEncoder(
    pipeline="vision",
    topic="frames",
    servings=SERVINGS,
    decisions=LABELS,
    classes=["clean", 'a "b"'],
    reasons=["dirty", "é"],
)


def test_an_images_decision_has_its_class_and_the_probability_of_each() -> None:
    rows = new_rows(4, classes=2, reasons=2)
    rows.probabilities[:] = (0.25, 0.75)
    rows.likeliest[:] = (1, 0, -1, 1)
    rows.outcome[3] = Outcome.EXPIRED
    rows.reasons[0, 1], rows.reasons[1] = 0.41, (1.5, 2.0)
    texts = [text_of(message).decode() for message in encoded(CLASSED, rows, slots_of(0, 1, 2, 3))]
    given = '"probabilities":{"clean":0.250000,"a \\"b\\"":0.750000},"tier":"primary"'
    assert f'"score":0.500000,"class":"a \\"b\\"",{given}' in texts[0]
    assert f'"score":0.500000,"class":"clean",{given}' in texts[1]
    assert '"score":0.500000,"class":null,"probabilities":null,"tier":"primary"' in texts[2]
    assert '"score":null,"class":null,"probabilities":null,"tier":"expired"' in texts[3]
    read = [json.loads(text) for text in texts]
    assert [row.get("reasons") for row in read] == [[["é", 0.41]], [["dirty", 1.5], ["é", 2.0]], None, None]


@given(
    st.lists(
        st.tuples(
            st.lists(st.floats(width=32), min_size=3, max_size=3),
            st.integers(-1, 2),
            st.lists(st.floats(width=32, allow_infinity=False), min_size=2, max_size=2),
        ),
        max_size=6,
    ),
    st.booleans(),
)
def test_whatever_is_told_of_an_image_is_json(
    cases: list[tuple[list[float], int, list[float]]], features: bool
) -> None:
    names = ["p", "ü" * 40, "q"]
    encoder = DecisionEncoder(
        pipeline="vision",
        topic="frames",
        servings=SERVINGS,
        decisions=LABELS,
        classes=names,
        reasons=["r", "s" * 50],
        features=NAMES if features else None,
    )
    rows = new_rows(max(1, len(cases)), classes=3, reasons=2)
    for slot, (probabilities, likeliest, reasons) in enumerate(cases):
        rows.probabilities[slot], rows.likeliest[slot], rows.reasons[slot] = probabilities, likeliest, reasons
    messages = encoded(encoder, rows, np.arange(len(cases), dtype=np.int32))
    for message, (probabilities, likeliest, reasons) in zip(messages, cases, strict=True):
        row = decoded(message)
        assert row["class"] == (None if likeliest < 0 else names[likeliest])
        assert (row["probabilities"] is None) == (likeliest < 0)
        if likeliest >= 0:
            finite = [value if np.isfinite(value) else np.nan for value in probabilities]
            assert list(row["probabilities"]) == names
            given = [np.nan if value is None else value for value in row["probabilities"].values()]
            assert given == pytest.approx(finite, rel=1e-6, abs=5.1e-7, nan_ok=True)
        told = [[name, value] for name, value in zip(["r", "s" * 50], reasons, strict=True) if not np.isnan(value)]
        assert [name for name, _ in row.get("reasons", [])] == [name for name, _ in told]
        assert ("reasons" in row) == bool(told)


@given(
    st.lists(st.lists(st.sampled_from(range(5)), unique=True, max_size=3), min_size=1, max_size=5),
    st.booleans(),
    st.booleans(),
)
def test_what_explains_a_score_is_told_in_its_own_order_behind_other_reasons(
    cases: list[list[int]], overridden: bool, traced: bool
) -> None:
    names = ["amount", 'od"d', "é" * 60, "x", "y"]
    encoder = DecisionEncoder(
        pipeline="fraud",
        topic="transactions",
        servings=SERVINGS,
        decisions=LABELS,
        reasons=["limit", "other"] if overridden else [],
        explained=names,
        traceparent=traced,
    )
    rows = new_rows(len(cases), reasons=2 if overridden else 0, explained=3, traced=traced)
    for slot, columns in enumerate(cases):
        for place, column in enumerate(columns):
            rows.explained[slot, place], rows.attributions[slot, place] = column, (-1) ** place * (3.5 - place)
    if overridden:
        rows.reasons[0, 1] = 7.0
    for slot, message in enumerate(encoded(encoder, rows, np.arange(len(cases), dtype=np.int32))):
        told = [[names[column], (-1) ** place * (3.5 - place)] for place, column in enumerate(cases[slot])]
        first = [["other", 7.0]] if overridden and slot == 0 else []
        row = decoded(message)
        assert row.get("reasons", []) == [*first, *told]
        assert row["tier"] == "primary"


def test_who_is_added_while_the_encoder_lives_is_named() -> None:
    servings = Servings.of_ladder([(label, ()) for label in TIERS])
    encoder = DecisionEncoder(pipeline="fraud", topic="transactions", servings=servings, decisions=LABELS)
    rows = new_rows(2)
    assert decoded(encoded(encoder, rows, slots_of(1))[0])["version"] == "1"
    longer = TierLabel("primary", "fraud-" + "gbt" * 200, "2", "CPUExecutionProvider")
    rows.serving[1] = servings.add(Serving(longer, 0, degraded=False))
    told = [decoded(message) for message in encoded(encoder, rows, slots_of(0, 1))]
    assert [(row["model"], row["version"]) for row in told] == [("fraud-gbt", "1"), (longer.model, "2")]
