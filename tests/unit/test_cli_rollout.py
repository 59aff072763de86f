"""`headrace rollout`: what is asked for is on the topic when the command ends, and what cannot be is said."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from confluent_kafka import Producer
from tiny_models import write_repository

from pipeline.cli.app import run
from pipeline.cli.exit_codes import ExitCode
from pipeline.config.load import load
from pipeline.kafka.embedded import EmbeddedCluster
from pipeline.wire.audit import AuditRecord
from tests.versions import add_version

INPUTS = tuple(load("fraud", environ={}).config.features)
Ask = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[str]:
    with EmbeddedCluster({"rollouts": 2, "audit": 1}) as cluster:
        yield cluster.bootstrap


@pytest.fixture
def ask(bootstrap: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Runs a command about a pipeline that is this test's own; gives the exit code and what was said."""
    folder = write_repository(tmp_path / "models", INPUTS)
    add_version(folder, "fraud-gbt", "2", "good", INPUTS)
    settings = ["rollout.enabled=true", f"models.folder={folder}", f"pipeline.name={tmp_path.name}"]

    def asked(*arguments: str, more: Sequence[str] = ()) -> tuple[int, str]:
        given = [part for each in (*settings, *more) for part in ("--set", each)]
        code = run(["rollout", *arguments, "--bootstrap", bootstrap, *given])
        said = capsys.readouterr()
        return code, said.out + said.err

    return asked


def test_a_rollout_from_start_to_its_end(ask: Ask) -> None:
    assert ask("status")[1].splitlines()[0] == "primary: fraud-gbt/1  (rolled_back by configured)"
    code, said = ask("start", "--version", "2", "--by", "ann", "--reason", "new year")
    assert (code, said) == (
        0,
        "written for all processes to follow: primary: fraud-gbt/1, beside it fraud-gbt/2 at 0.01 of the keys, "
        "by its rules  (started by ann: new year)\n",
    )
    assert "at 0.25 of the keys" in ask("share", "0.25")[1]
    assert "held" in ask("hold")[1]
    assert "primary: fraud-gbt/2, before it fraud-gbt/1  (promoted" in ask("promote")[1]
    assert "primary: fraud-gbt/1  (rolled_back" in ask("rollback")[1]
    assert "beside it fraud-gbt/2 in shadow, held" in ask("start", "--version", "2", "--shadow", "--hold")[1]
    assert "primary: fraud-gbt/1  (rolled_back" in ask("rollback")[1]
    assert "primary: fraud-gbt/2, before it" in ask("promote", "--version", "2")[1]
    told = ask("status", "--json")[1]
    assert '"sha256":"' in told
    assert "lite: fraud-lite/1" in ask("status")[1]


@pytest.mark.parametrize(
    ("arguments", "more", "says"),
    [
        (("start", "--version", "9"), (), "there is no model fraud-gbt/9; there are fraud-gbt/1, fraud-gbt/2"),
        (("start", "--version", "1"), (), "fraud-gbt/1 is the stable version already"),
        (("promote",), (), "there is no candidate"),
        (("share", "0.5"), (), "there is no candidate"),
        (("hold", "--tier", "second"), (), "tier 'second' is none of those that a model answers in: primary, lite"),
        (("rollback",), (), "nothing before fraud-gbt/1 to go back to"),
        (("status",), ("rollout.enabled=false",), "rollout.enabled is false"),
        (("status",), ("topics.rollouts=nowhere",), "topic 'nowhere'"),
    ],
)
def test_what_cannot_be_done_is_said(ask: Ask, arguments: Sequence[str], more: Sequence[str], says: str) -> None:
    code, said = ask(*arguments, more=more)
    assert code not in (0, ExitCode.UNDELIVERED)
    assert says in said


def test_a_share_goes_with_no_shadow(ask: Ask) -> None:
    code, said = ask("start", "--version", "2", "--shadow", "--share", "0.5")
    assert (code, "expected no --share" in said) == (2, True)


def test_a_version_that_is_not_on_this_machine_can_be_asked_for_unseen(ask: Ask) -> None:
    assert "beside it fraud-gbt/9 at 0.01" in ask("start", "--version", "9", "--unseen")[1]


def test_the_books_are_read_back_in_their_order(ask: Ask, bootstrap: str, tmp_path: Path) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    for at_ms, event in ((1_700_000_002_000, "promoted"), (1_700_000_001_000, "canary")):
        record = AuditRecord(
            pipeline=tmp_path.name,
            instance="host-1",
            at_ms=at_ms,
            event=event,  # type: ignore[arg-type]
            tier="primary",
            model="fraud-gbt",
            version="2",
            by="ann",
            config_sha256="ab" * 32,
            offsets={"transactions/0": (5, 9)},
        )
        producer.produce("audit", record.encode())
    producer.produce("audit", b"what is this")
    producer.flush(10)
    first, second = ask("log")[1].splitlines()
    assert first.startswith("2023-11-14T22:13:21.000Z  host-1  primary  canary fraud-gbt/2, by ann  configuration")
    assert first.endswith('from {"transactions/0": [5, 9]}')
    assert "promoted" in second
    assert ask("log", "--json")[1].count('"event"') == 2
