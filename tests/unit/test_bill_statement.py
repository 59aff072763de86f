"""A bill over records of several processes and pipelines: lines that add up, money only where there are prices."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.bill.prices import Prices
from pipeline.bill.sources import UnreadableProcessError, of_process
from pipeline.bill.statement import REST_NAME, Statement, statement_of
from pipeline.cli.app import headrace, run
from pipeline.cli.cost_view import as_csv, as_json
from pipeline.wire.metrics import MetricsRecord
from tests.page_records import BEGAN_MS
from tests.page_server import served

PRICES = Prices(cpu_hour=36.0, gpu_hour=0.0, kwh=0.0, currency="EUR")
GBT, RULE = "fraud-gbt/1/primary", "-/-/rule"
COUNTS = {
    "cpu_us/total": 10_000_000,
    "cpu_us/rest": 6_000_000,
    f"cpu_us/model/{GBT}": 3_900_000,
    f"cpu_us/model/{RULE}": 100_000,
    "cpu_us/tenant/a/b": 7_000_000,
    "cpu_us/tenant/c": 2_000_000,
    "cpu_us/tenant/(idle)": 1_000_000,
    "energy_mj/source/estimate": 35_000,
    "energy_mj/tenant/c": 35_000,
    "decisions/tenant/a/b": 9_000,
    "decisions/tenant/c": 1_000,
    "decisions/label/approve": 9_900,
    "decisions/label/decline": 100,
    f"model_rows/{GBT}": 9_500,
    f"model_rows/{RULE}": 500,
    "saved_us/primary": 400_000,
    "lookup_us/primary": 100_000,
}


def record(instance: str = "host-1", pipeline: str = "fraud", from_ms: int = BEGAN_MS) -> MetricsRecord:
    return MetricsRecord(
        pipeline=pipeline,
        instance=instance,
        from_ms=from_ms,
        to_ms=from_ms + 1000,
        outcomes={"scored": 9_500, "degraded": 500, "absorbed": 70},
        tiers={"primary": 9_500, "rule": 500},
        counts=COUNTS,
    )


def bill(prices: Prices = PRICES) -> Statement:
    (made,) = statement_of([record(), record("host-2", from_ms=BEGAN_MS + 500)], prices, ["decline"])
    return made


def test_each_kind_of_lines_comes_to_the_total() -> None:
    made = bill()
    assert (made.processes, made.from_ms, made.to_ms) == (2, BEGAN_MS, BEGAN_MS + 1500)
    assert made.total.usage.cpu_s == 20
    for lines in (made.tenants, made.models, made.tiers):
        assert sum(line.usage.cpu_s for line in lines) == pytest.approx(20)
        assert sum(line.money or 0.0 for line in lines) == pytest.approx(0.2)
    assert [line.name for line in made.tenants] == ["a/b", "c", "(idle)"]
    assert [line.name for line in made.models] == [GBT, RULE, REST_NAME]
    assert [(line.name, line.count) for line in made.tiers] == [
        ("primary", 19_000),
        ("rule", 1_000),
        (REST_NAME, None),
    ]


def test_what_a_million_and_a_case_cost() -> None:
    made = bill()
    assert made.total.count == 20_000
    assert made.total.money_a_million == pytest.approx(10.0)
    assert made.total.cpu_s_a_million == pytest.approx(1_000)
    assert made.detected == 200
    assert made.cost_a_case == pytest.approx(0.001)
    assert (made.saved_s, made.lookup_s) == (0.8, 0.2)
    assert made.sources == {"estimate": 70.0}


def test_without_prices_there_is_no_money() -> None:
    made = bill(Prices(0.0, 0.0, 0.0, "EUR"))
    assert made.total.money is made.cost_a_case is made.tenants[0].money_a_million is None


def test_pipelines_have_bills_of_their_own() -> None:
    made = statement_of([record(), record(pipeline="vision"), record()], PRICES, [])
    assert [(each.pipeline, each.total.usage.cpu_s) for each in made] == [("fraud", 20), ("vision", 10)]


def test_it_is_told_as_json_and_csv() -> None:
    (told,) = json.loads(as_json([bill()]))
    assert told["total"]["a_million"] == pytest.approx(10.0)
    assert told["currency"] == "EUR"
    assert [line["name"] for line in told["tenants"]] == ["a/b", "c", "(idle)"]
    head, *lines = as_csv([bill()]).splitlines()
    assert head == "pipeline,by,name,cpu_s,gpu_s,energy_j,count,money,cpu_s_a_million,a_million"
    assert lines[0].startswith("fraud,tenant,a/b,14.0,0.0,0.0,18000,0.14,")
    assert lines[-1].startswith("fraud,total,total,20.0,0.0,70.0,20000,0.2,1000.0,10.0")


def test_the_command_reads_a_file(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(b"\n".join([record().encode(), record("host-2").encode()]))
    shown = CliRunner().invoke(
        headrace, ["cost", "--file", str(file), "--set", "cost.cpu_hour=36", "--set", 'cost.detected=["decline"]']
    )
    assert shown.exit_code == 0, shown.output
    assert "2 processes, 20,000 decisions" in shown.output
    assert "a detected case (200): 0.001 EUR" in shown.output
    assert "energy: 70.0 J by estimate" in shown.output
    told = json.loads(CliRunner().invoke(headrace, ["cost", "--file", str(file), "--json"]).output)
    assert told[0]["total"]["cpu_s"] == 20


def test_a_file_of_something_else_is_named_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(record().encode() + b"\nnonsense\n")
    assert run(["cost", "--file", str(file)]) == 2
    assert f"{file}:2: " in capsys.readouterr().err


def test_an_empty_file_is_no_bill(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").write_text("")
    assert run(["cost", "--file", str(tmp_path / "empty")]) == 1
    assert "holds no metrics record" in capsys.readouterr().err


def test_a_running_process_is_asked() -> None:
    with served() as page:
        url = page.server.url
        with pytest.raises(UnreadableProcessError, match="has told nothing yet"):
            of_process(url, "")
        totals = page.teller.tell(3)
        asked = of_process(url, "")
    assert asked.outcomes == totals.outcomes
    assert asked.counts == totals.counts
    assert asked.tiers == totals.tiers
    with pytest.raises(UnreadableProcessError, match="/api/state: "):
        of_process(url, "")


def test_the_token_is_asked_for() -> None:
    with served("http.token=secret") as page:
        page.teller.tell()
        address = page.server.url.partition("?")[0]
        with pytest.raises(UnreadableProcessError, match="answers 401"):
            of_process(address, "")
        assert of_process(address, "secret").pipeline == "fraud"
