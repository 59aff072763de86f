"""OpenTelemetry is an extra: asked for and not there is an error with its name, not asked for it is not loaded."""

import subprocess
import sys

import pytest

from pipeline.cli.checks import check_traces
from pipeline.config.load import load
from pipeline.config.problems import ConfigError
from pipeline.trace import extra


def test_an_exporter_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load("fraud", environ={}, assignments=("trace.export=true",)).config
    assert check_traces(config) == "not carried, spans exported"
    monkeypatch.setattr(extra, "NEEDED", "opentelemetry_that_is_not_there.exporter")
    with pytest.raises(
        ConfigError, match=r"trace\.export: true, but .* is not installed: pip install 'headrace\[otel\]'"
    ):
        check_traces(config)
    off = load("fraud", environ={}, assignments=("trace.propagate=header",)).config
    assert check_traces(off) == "carried as header, spans not made"


def test_nothing_of_it_is_loaded_by_a_pipeline_that_does_without() -> None:
    program = "import sys, pipeline.service; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
