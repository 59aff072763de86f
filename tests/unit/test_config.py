"""What a user may get wrong in a configuration, and what they are told."""

import tomllib
from pathlib import Path

import pytest

from pipeline.cli.checks import check_features
from pipeline.config.load import Loaded, find, load, shipped
from pipeline.config.problems import ConfigError
from pipeline.config.show import as_json, as_toml

FRAUD = find("fraud").read_text()


def loaded(*assignments: str, **environ: str) -> Loaded:
    return load("fraud", environ=environ, assignments=assignments)


def mistake(*assignments: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(*assignments, **environ)
    return str(caught.value)


def test_every_shipped_pipeline_is_valid() -> None:
    assert "fraud" in shipped()
    for name in shipped():
        assert load(name, environ={}).config.pipeline.name == name


def test_the_handbooks_fifteen_inputs_are_the_default_feature_set() -> None:
    assert len(loaded().config.catalog.features) == 15


def test_what_a_key_of_a_paned_entity_costs_is_stated() -> None:
    told = check_features(loaded("entities.customer.panes=30").config)
    assert told == "15 features, windows over 2 entities; customer in 31 panes of 1d, 548 bytes a key"


def test_a_configuration_is_frozen() -> None:
    config = loaded().config
    with pytest.raises(ValueError, match="frozen"):
        config.pipeline.budget_ms = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("pipeline.budgt_ms=5", 'pipeline.budgt_ms: unknown key, did you mean "budget_ms" (in milliseconds)?'),
        ("engine.commit_s=1", 'engine.commit_s: unknown key, did you mean "commit_ms" (in milliseconds)?'),
        ("pipeline.budget_ms=100ms", "found '100ms', expected a whole number of milliseconds"),
        ("pipeline.budget_ms=0.5", "found 0.5, expected a whole number of milliseconds"),
        ("pipeline.budget_ms=true", "found True, expected a whole number of milliseconds"),
        ("pipeline.budget_ms=-1", "found -1, but it should be greater than or equal to"),
        ("pipeline.budget_ms=20000", "budget_ms 20000 is above budget_ms_max 10000"),
        ("pipeline.mode=rerun", "found 'rerun', but it should be 'live' or 'replay'"),
        ("pipline.name=x", 'no table [pipline], did you mean "pipeline"?'),
        ("budget_ms=5", "expected table.key=value"),
        ("topics.decisions=transactions", "transactions is named twice"),
        ("topics.metrics=decisions", "decisions, dead_letters, metrics and quality need a topic each"),
        ("topics.metrics=a b", "topics.metrics: found 'a b'"),
        ("entities.customer.lateness=1x", "found '1x', expected a duration such as"),
        ("entities.customer.lateness=3600", "found 3600, expected a duration such as"),
        ("entities.customer.panes=0", "found 0, but it should be greater than or equal to 2"),
        ("entities.customer.panes=30.0", "found 30.0, expected a whole number"),
        ("entities.customer.panes=31", "entities.customer.panes: found 31, which does not cut the spans"),
        (
            "entities.customer.panes=31",
            "(1d, 7d, 30d) into whole panes; expected 30 (panes of 1d) or 60 (panes of 12h)",
        ),
        ("entities.terminal.panes=37", "features.terminal_risk_1d.aggregate: found \"risk\" over entity 'terminal'"),
        ("features.amount.expresion=amount", 'unknown key, did you mean "expression"?'),
        ("features.amount.expression=amuont", "features.amount: 'amuont' is not declared, did you mean 'amount'?"),
        ("features.night={ call = 3 }", "features.night.call: found 3, expected a string"),
        ("inputs.transactions.key=customer", "key: 'customer' is not declared, did you mean 'customer_id'?"),
        ("inputs.labels.role=decide", 'expected one with role = "decide", found 2'),
        ("decide.thresholds=[0.8, 0.3]", "expected rising numbers, found [0.8, 0.3]"),
        ("decide.thresholds=[0.8]", "3 labels need 2 thresholds between them, found 1"),
        ("decide.fallback=refuse", "'refuse' is none of the labels approve, review, decline"),
        ("tiers.1.name=primary", "primary, primary, rule has a name twice"),
        ("tiers.primry.model=x", "tiers has no entry 'primry'; there are primary, lite, rule"),
        ("tiers.primary.providers=CUDAExecutionProvider", "expected a list"),
        ("engine.buckets=[8, 1]", "buckets: expected rising sizes, found [8, 1]"),
        ("engine.rows_max=100", "expected at least twice poll_rows_max (2048), found 100"),
        ("kafka.enable.auto.commit=true", '"enable.auto.commit" cannot be set: offsets are committed when'),
        ("kafka.group.id=", '"group.id" is missing'),
        ("models.foldr=x", 'models.foldr: unknown key, did you mean "folder"?'),
    ],
)
def test_a_mistake_is_named_with_what_was_found_and_expected(assignment: str, told: str) -> None:
    assert told in mistake(assignment)


def test_all_mistakes_are_told_at_once_each_with_its_origin() -> None:
    text = mistake("pipeline.budget_ms=fast", HEADRACE_ENGINE__COMMIT_MS="slow")
    assert "2 mistakes" in text
    assert "(from command line --set pipeline.budget_ms)" in text
    assert "(from environment HEADRACE_ENGINE__COMMIT_MS)" in text


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(FRAUD.replace("[decide]", "[publish2]"))
    with pytest.raises(ConfigError) as caught:
        load(str(path), environ={})
    assert "decide: missing" in str(caught.value)
    assert 'publish2: unknown key, did you mean "publish"?' in str(caught.value)


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[pipeline\n")
    with pytest.raises(ConfigError, match=r"mine\.toml: cannot be read as TOML: .*line 1"):
        load(str(path), environ={})


def test_a_file_that_is_not_there_is_named_with_what_is() -> None:
    with pytest.raises(ConfigError, match=r"frawd: no such file, and the shipped pipelines are .*fraud"):
        load("frawd", environ={})


def test_a_models_folder_is_relative_to_its_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(FRAUD + '\n[models]\nfolder = "mine"\n')
    assert load(str(path), environ={}).config.models.folder == str(tmp_path / "mine")


def test_settings_reach_the_client_they_are_for_as_text() -> None:
    kafka = loaded(
        "kafka.socket.keepalive.enable=true", "kafka.consumer.fetch.min.bytes=7", "kafka.producer.linger.ms=1.5"
    ).config.kafka
    assert kafka.consumer_settings()["socket.keepalive.enable"] == "true"
    assert kafka.consumer_settings()["fetch.min.bytes"] == "7"
    assert kafka.producer_settings()["linger.ms"] == "1.5"
    assert "fetch.min.bytes" not in kafka.producer_settings()
    assert "group.id" not in kafka.producer_settings()
    assert "group.id" in kafka.consumer_settings()


def test_what_is_shown_loads_as_the_same_configuration(tmp_path: Path) -> None:
    before = loaded("pipeline.budget_ms=50", HEADRACE_KAFKA__CONSUMER__FETCH_MIN_BYTES="7")
    path = tmp_path / "shown.toml"
    path.write_text(as_toml(before))
    assert load(str(path), environ={}).config == before.config


def test_shown_values_name_their_origin() -> None:
    text = as_toml(loaded("pipeline.budget_ms=50", HEADRACE_TOPICS__METRICS="m", HEADRACE_TIERS__LITE__VERSION="7"))
    assert "budget_ms = 50  # command line --set pipeline.budget_ms" in text
    assert 'metrics = "m"  # environment HEADRACE_TOPICS__METRICS' in text
    assert 'version = "7"  # environment HEADRACE_TIERS__LITE__VERSION' in text
    assert 'mode = "live"  # fraud.toml' in text
    assert "future_ms_max = 86400000  # default" in text


def test_secrets_are_never_shown_nor_told() -> None:
    environ = {"HEADRACE_KAFKA__SASL_PASSWORD": "hunter2", "HEADRACE_KAFKA__SSL_KEY_PEM": "hunter2"}
    for text in (as_toml(loaded(**environ)), as_json(loaded(**environ))):
        assert "hunter2" not in text
        assert "********" in text
    tomllib.loads(as_toml(loaded(**environ)))
    assert "hunter2" not in mistake("pipeline.budget_ms=x", **environ)
