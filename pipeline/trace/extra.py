"""Whether what exports spans is there: it is an extra of the distribution."""

from importlib.util import find_spec

from pipeline.config.model import PipelineConfig
from pipeline.config.problems import ConfigError, Problem

NEEDED = "opentelemetry.exporter.otlp.proto.http"


def check_exporter(config: PipelineConfig) -> None:
    """Raises ConfigError where spans are to be exported and what does it is not installed."""
    try:
        found = not config.trace.export or find_spec(NEEDED) is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        text = "true, but OpenTelemetry's exporter is not installed: pip install 'headrace[otel]'"
        raise ConfigError("", [Problem("trace.export", text)])
