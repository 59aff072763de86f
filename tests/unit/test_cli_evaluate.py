"""`headrace evaluate` before anything runs: every mistake named, and what a recording is read as."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_models import write_repository

from pipeline.cli.app import run
from pipeline.cli.inputs import input_files
from pipeline.config.load import load
from pipeline.evaluation.recording import Recording, read_recording

DAYS = [int(datetime(2020, 1, day, tzinfo=UTC).timestamp() * 1000) for day in (1, 2, 3, 4)]
ROWS: dict[str, list[Any]] = {
    "transaction_id": [1, 2, 3, 4],
    "event_time": DAYS,
    "customer_id": [7, 8, 7, 9],
    "terminal_id": [1, 1, 2, 2],
    "amount": [1.5, 2.5, 3.5, 4.5],
    "fraud": [False, True, False, True],
}


@pytest.fixture(autouse=True)
def _small_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_repository(tmp_path / "repository", tuple(load("fraud", environ={}).config.features))
    monkeypatch.setenv("HEADRACE_MODELS__FOLDER", str(folder))
    monkeypatch.setenv("HEADRACE_ENGINE__BUCKETS", "[1, 8]")
    monkeypatch.chdir(tmp_path)


def written(name: str, columns: Mapping[str, list[Any]]) -> str:
    pq.write_table(pa.table(dict(columns)), name)
    return name


def read(label_column: str | None = "fraud", inputs: tuple[str, ...] = (), **span: int | None) -> Recording:
    config = load("fraud", environ={}).config
    files = input_files(Path("events.parquet"), inputs, (), label_column, "7d")
    return read_recording(files, config, config, span.get("from_ms"), span.get("to_ms"))


def test_judged_are_the_events_of_the_span_and_those_before_feed_state() -> None:
    written("events.parquet", ROWS)
    found = read(from_ms=DAYS[1], to_ms=DAYS[3])
    assert (found.rows, found.first, found.events.num_rows) == (2, 1, 3)
    assert (found.ids.to_pylist(), found.time_ms.tolist()) == (["2", "3"], DAYS[1:3])
    assert found.positive is not None
    assert (found.positive.tolist(), found.clusters, found.labels) == (
        [True, False],
        2,
        "events.parquet: column 'fraud'",
    )
    assert found.events.column_names == ["transaction_id", "event_time", "customer_id", "terminal_id", "amount"]
    assert found.state["labels"].num_rows == 0


def test_a_label_is_state_once_it_came_to_be_known() -> None:
    written("events.parquet", {**ROWS, "event_time": [day + 30 * 86_400_000 * at for at, day in enumerate(DAYS)]})
    assert read().state["labels"]["transaction_id"].to_pylist() == [2, 4]
    assert read(to_ms=DAYS[3] + 90 * 86_400_000 + 1).state["labels"]["transaction_id"].to_pylist() == [2]


def test_of_several_labels_about_an_event_the_last_known_is_the_truth() -> None:
    written("events.parquet", ROWS)
    labels = {
        "transaction_id": [3, 3, 2, 99],
        "event_time": [DAYS[2], DAYS[2], DAYS[1], DAYS[1]],
        "terminal_id": [2, 2, 1, 1],
        "customer_id": [7, 7, 8, 8],
        "fraud": [False, True, True, True],
        "reported_at": [DAYS[3] + 2, DAYS[3] + 1, DAYS[3], DAYS[3]],
    }
    written("labels.parquet", labels)
    found = read(None, ("labels=labels.parquet",))
    assert found.positive is not None
    assert (found.positive.tolist(), found.labels) == ([False, True, False, False], "labels.parquet: field 'fraud'")
    assert found.state["labels"]["reported_at"].cast(pa.int64()).to_pylist() == sorted(labels["reported_at"])


def test_a_file_that_is_not_in_time_order_is_put_into_it() -> None:
    written("events.parquet", {name: values[::-1] for name, values in ROWS.items()})
    found = read()
    assert found.sorted_here
    assert (found.ids.to_pylist(), found.positive is not None) == (["1", "2", "3", "4"], True)
    assert np.array_equal(found.cluster, [2, 0, 2, 1]) or found.cluster[0] == found.cluster[2]


def test_without_labels_there_is_no_truth() -> None:
    written("events.parquet", ROWS)
    found = read(None)
    assert (found.positive, found.labels, dict(found.state)) == (None, "", {})


def test_a_side_that_takes_no_labels_is_judged_by_them_all_the_same() -> None:
    """B knows nothing of terminals: no state, and no windows that labels feed."""
    written("events.parquet", ROWS)
    a = load("fraud", environ={}).config
    terminal = {name for name, feature in a.features.items() if feature.entity == "terminal"}
    tables = {name: getattr(a, name) for name in type(a).model_fields}
    b = type(a).model_validate(
        tables
        | {
            "inputs": {"transactions": a.inputs["transactions"]},
            "entities": {"customer": a.entities["customer"]},
            "features": {name: feature for name, feature in a.features.items() if name not in terminal},
        }
    )
    files = input_files(Path("events.parquet"), (), (), "fraud", "7d")
    for one, other in ((a, b), (b, a)):
        found = read_recording(files, one, other, None, None)
        assert found.positive is not None
        assert (found.positive.tolist(), found.state["labels"].num_rows) == ([False, True, False, True], 2)
    alone = read_recording(files, b, b, None, None)
    assert (alone.positive is not None, dict(alone.state)) == (True, {})


BOTH = ["--a", "fraud", "--b", "fraud"]
LABELLED = [*BOTH, "--label-column", "fraud"]


@pytest.mark.parametrize(
    ("changed", "arguments", "told"),
    [
        ({}, ["--a", "fraud"], "Missing option '--b'"),
        ({}, ["--a", "frawd", "--b", "fraud"], "--a: frawd: no such file, and the shipped pipelines are"),
        ({}, [*BOTH, "--set-b", "tiers.primary.model=nothing"], "headrace: --b: "),
        ({}, [*BOTH, "--set-b", "tiers.primary.model=nothing"], "there is no model nothing/1"),
        ({}, [*BOTH, "--set-b", "pipeline.budget=7"], "--b: "),
        ({}, ["--a", "fraud", "--b", "vision"], "A decides transactions, B decides frames: expected the same events"),
        ({}, ["--a", "vision", "--b", "vision"], "decide on images, and a file of rows has none"),
        ({}, [*BOTH, "--rate", "10", "--speed-up", "2"], "--rate and --speed-up both say how fast"),
        ({}, [*BOTH, "--rounds", "2"], "--rounds 2: expected 0, or 3 or more to tell a difference from noise"),
        ({}, [*BOTH, "--set", "cost.cpu_hour=0"], "cost.cpu_hour: no price is set"),
        ({}, [*BOTH, "--set-b", "cost.cpu_hour=0.4"], "0.04 EUR in A, 0.4 EUR in B: expected one price for both"),
        ({}, [*BOTH, "--from", "yesterday"], "found 'yesterday', expected a time such as 2018-08-08"),
        ({}, [*BOTH, "--from", "2020-02-01"], "no events between --from and --to; the last is of 2020-01-04"),
        ({}, [*BOTH, "--to", "2019-01-01"], "no events between --from and --to; none"),
        ({}, [*BOTH, "--out", "nowhere/page.html"], "--out nowhere/page.html: there is no folder nowhere"),
        ({}, [*BOTH, "--label-column", "fraudulent"], "events.parquet: no column 'fraudulent'; the file has"),
        ({"fraud": [1.5, 2.5, 0.0, 1.0]}, LABELLED, "column 'fraud' is double, expected bool"),
        ({"fraud": ["a", "b", "c", "d"]}, LABELLED, "column 'fraud' is string, expected bool"),
        ({"fraud": [True, None, False, True]}, LABELLED, "is empty in 1 rows"),
        ({"fraud": [False] * 4}, LABELLED, "none of the 4 judged events is true"),
        ({"fraud": [True] * 4}, LABELLED, "all of the 4 judged events is true"),
        ({"transaction_id": [1, 2, 2, 3]}, BOTH, "transaction_id 2 stands in 2 rows; an event's decision is found"),
        ({"amount": None}, BOTH, "events.parquet: no column 'amount'"),
        ({"event_time": ["x"] * 4}, BOTH, "column 'event_time' is string, expected time"),
        ({}, [*BOTH, "--input", "lables=events.parquet"], "'lables' is no input with role \"state\""),
        ({}, [*BOTH, "--input", "labels=nowhere.parquet"], "nowhere.parquet: no such file"),
        ({}, BOTH, "a round of 2.5 s has 0 events, expected 50 or more"),
        ({}, [*BOTH, "--rate", "100"], "4 judged events last 0.0 s at that speed, and 8 rounds and one to"),
    ],
)  # fmt: skip
def test_what_cannot_be_evaluated_is_said_and_exits_2(
    changed: dict[str, Any], arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = {name: values for name, values in {**ROWS, **changed}.items() if values is not None}
    assert run(["evaluate", written("events.parquet", columns), *arguments]) == 2
    assert told in capsys.readouterr().err
    assert not Path("evaluation.html").exists()


def test_files_that_are_no_recordings_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.parquet").write_bytes(b"PAR1 or not")
    assert run(["evaluate", "broken.parquet", *BOTH]) == 2
    assert "broken.parquet: cannot be read as parquet" in capsys.readouterr().err
    written("none.parquet", {name: values[:0] for name, values in ROWS.items()})
    assert run(["evaluate", "none.parquet", *BOTH]) == 2
    assert "none.parquet" in (told := capsys.readouterr().err)
    assert "events" in told
    assert run(["evaluate", "nowhere.parquet", *BOTH]) == 2
    assert "'nowhere.parquet' does not exist" in capsys.readouterr().err
