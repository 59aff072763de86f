"""The SLO app's configuration: what ships is valid, and every mistake says how to mend it."""

from pathlib import Path

import pytest

from pipeline.cli.app import run
from pipeline.config.load import shipped
from pipeline.config.problems import ConfigError
from pipeline.slo.app import credentials_of
from pipeline.slo.config import BurnSection
from pipeline.slo.load import load_slo

SHIPPED = Path(__file__).parents[2] / "pipeline" / "configs" / "slo.toml"


def test_the_shipped_file_says_the_defaults() -> None:
    config = load_slo("slo", environ={})
    assert config.burn == BurnSection()
    assert "slo" not in shipped()


def test_windows_are_scaled_together() -> None:
    rules = load_slo("slo", environ={}, assignments=["burn.time_scale=60"]).burn.rules()
    assert [(pair.long_ms, pair.short_ms) for pair in rules.pairs] == [
        (60_000, 5_000),
        (360_000, 30_000),
        (4_320_000, 360_000),
    ]
    assert rules.hold_ms == 5_000


def test_the_environment_is_laid_over_the_file() -> None:
    environ = {"HEADRACE_KAFKA__BOOTSTRAP_SERVERS": "kafka:9092", "HEADRACE_ALERTMANAGER__URL": "http://a:9093"}
    config = load_slo("slo", environ=environ)
    assert config.kafka.bootstrap == "kafka:9092"
    assert config.alertmanager.url == "http://a:9093"


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("burn.event_min=3", 'burn.event_min: unknown key, did you mean "events_min"?'),
        ("slos.fraud-latency.objective=0.5", "no burn exceeds 2, and burn asks for 14.4: it could never fire"),
        ("slos.fraud-latency.objective=1", "slos.0.objective: found 1, but it should be"),
        ("slos.fraud-latency.pipeline=frod", "fraud-latency.pipeline: found 'frod', expected one of fraud, vision"),
        ("slos.fraud-latency.kind=speed", "slos.0.kind: found 'speed', but it should be 'latency', 'deadlines'"),
        ("slos.fraud-outcomes.threshold_ms=5", "threshold_ms goes with kind latency alone, found kind outcomes"),
        ("slos.fraud-latency.threshold_ms=3000", "overdue_ms 5000 is below twice the threshold_ms of fraud-latency"),
        ("slos.fraud-latency.name=fraud-outcomes", "has a name twice"),
        ("http.host=0.0.0.0", "token: missing, and host 0.0.0.0 can be reached by others"),
        ("kafka.group.id=x", '"group.id" cannot be set: it is `app.group`'),
        ("burn.hold=5", "found 5, expected a duration such as"),
        ('burn.page=[{ factor = 14.4, long = "5m", short = "1h" }]', "expected a short window below the long one"),
        ("alertmanager.url=alertmanager:9093", "alertmanager.url: found 'alertmanager:9093'"),
        ("topics.alerts=metrics", "metrics, alerts and state need three different topics"),
        ("pipeline.name=x", 'no table [pipeline], did you mean "pipelines"?'),
    ],
)
def test_a_mistake_names_the_key_and_what_was_expected(assignment: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_slo(str(SHIPPED), environ={}, assignments=[assignment])
    assert told in str(caught.value)


def test_a_latency_slo_without_a_threshold_says_so(tmp_path: Path) -> None:
    path = tmp_path / "slo.toml"
    path.write_text(SHIPPED.read_text().replace("threshold_ms = 100\n", ""))
    with pytest.raises(ConfigError, match="slo fraud-latency: threshold_ms is missing, kind latency needs it"):
        load_slo(str(path), environ={})


def test_the_command_checks_without_a_broker(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["slo", "--check"]) == 0
    assert "8 SLOs of 2 pipelines: fraud-latency" in capsys.readouterr().out
    assert run(["slo", "--check", "--config", "sloo"]) == 2
    assert "no such file, and the shipped configurations of the SLO app are slo" in capsys.readouterr().err


def test_no_broker_exits_3(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("pipeline.cli.slo.REQUEST_MS_MAX", 300)
    assert run(["slo", "--bootstrap", "localhost:1"]) == 3
    assert "no broker answers at localhost:1" in capsys.readouterr().err


def test_without_faust_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    for name in [name for name in sys.modules if name.startswith("pipeline.slo.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "faust", None)
    assert run(["slo", "--bootstrap", "localhost:1"]) == 1
    assert "headrace slo needs faust, which is not installed: pip install 'headrace[slo]'" in capsys.readouterr().err


def test_faust_is_told_how_to_reach_a_secured_cluster(tmp_path: Path) -> None:
    assert credentials_of({"bootstrap.servers": "x"}) is None
    told = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "a"}
    credentials = credentials_of({**told, "sasl.password": "b"})
    assert (credentials.username, credentials.password, credentials.mechanism.value) == ("a", "b", "SCRAM-SHA-512")
    assert credentials.protocol.value == "SASL_PLAINTEXT"
    assert credentials_of({**told, "security.protocol": "SASL_SSL"}).protocol.value == "SASL_SSL"
    assert credentials_of({"security.protocol": "ssl"}).protocol.value == "SSL"
    with pytest.raises(ConfigError, match="found 'GSSAPI', expected one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"):
        credentials_of({**told, "sasl.mechanism": "GSSAPI"})
    with pytest.raises(ConfigError, match="certificates: "):
        credentials_of({"security.protocol": "ssl", "ssl.ca.location": str(tmp_path / "nowhere.pem")})
