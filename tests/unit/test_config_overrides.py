"""Values from the environment: which key a variable means, how it is read, what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.load import load
from pipeline.config.model import PipelineConfig
from pipeline.config.problems import ConfigError


def config(**environ: str) -> PipelineConfig:
    return load("fraud", environ=environ).config


def test_a_variable_overrides_the_file_and_the_command_line_overrides_both() -> None:
    environ = {"HEADRACE_PIPELINE__BUDGET_MS": "50"}
    assert load("fraud", environ=environ).config.pipeline.budget_ms == 50
    both = load("fraud", environ=environ, assignments=["pipeline.budget_ms=60"])
    assert both.config.pipeline.budget_ms == 60


def test_kafka_names_have_dots_where_the_variable_has_underscores() -> None:
    kafka = config(
        HEADRACE_KAFKA__BOOTSTRAP_SERVERS="a:1,b:2", HEADRACE_KAFKA__CONSUMER__MAX_POLL_INTERVAL_MS="9"
    ).kafka
    assert kafka.bootstrap == "a:1,b:2"
    assert kafka.consumer == {"max.poll.interval.ms": "9"}


def test_a_tier_is_meant_by_name_or_number() -> None:
    assert config(HEADRACE_TIERS__LITE__MODEL="m").tiers[1].model == "m"
    assert config(HEADRACE_TIERS__1__MODEL="m").tiers[1].model == "m"


def test_lists_and_tables_are_written_as_in_toml() -> None:
    given_values = config(
        HEADRACE_ENGINE__BUCKETS="[1, 4]", HEADRACE_FEATURES__NIGHT='{ expression = "hour(event_time)" }'
    )
    assert given_values.engine.buckets == (1, 4)
    assert given_values.features["night"].expression == "hour(event_time)"


@given(st.sampled_from(["2", "007", "1e5", "true", "0x10", "2020-01-01", "[1]", "x = 1\ny = 2", "nan", "plain"]))
def test_a_string_is_kept_as_it_was_written_whatever_it_looks_like(text: str) -> None:
    assert config(HEADRACE_TIERS__PRIMARY__VERSION=text).tiers[0].version == text
    assert config(HEADRACE_KAFKA__SASL_PASSWORD=text).kafka.common["sasl.password"] == text


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("HEADRACE_PIPELINE_BUDGET_MS", "did you mean HEADRACE_PIPELINE__BUDGET_MS (two underscores"),
        ("HEADRACE_PIPLINE__BUDGET_MS", 'no table [pipline], did you mean "pipeline"?'),
        ("HEADRACE_BUDGET", "expected HEADRACE_TABLE__KEY"),
        ("HEADRACE_PIPELINE__NAME__X", "pipeline.name is a value, not a table"),
    ],
)
def test_a_variable_that_nobody_reads_is_refused(name: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(**{name: "5"})
    assert name in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "HEADRACE_SERVICE_HOST",
        "HEADRACE_SERVICE_PORT_METRICS",
        "HEADRACE_PORT",
        "HEADRACE_PORT_9090_TCP_ADDR",
        "HOME",
    ],
)
def test_what_kubernetes_sets_for_a_service_of_our_name_is_not_for_us(name: str) -> None:
    assert config(**{name: "tcp://10.0.0.1:9090"}) == config()
