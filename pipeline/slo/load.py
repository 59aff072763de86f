"""From a file, the environment and the command line to the SLO app's checked configuration."""

from collections.abc import Mapping, Sequence

from pipeline.config.load import checked, find, read_layers
from pipeline.slo.config import SloConfig

SECTIONS = tuple(SloConfig.model_fields)
SHIPPED = ("slo",)


def load_slo(name: str, *, environ: Mapping[str, str], assignments: Sequence[str] = ()) -> SloConfig:
    """Read and check a configuration, as `pipeline.config.load.load` does a pipeline's. Raises ConfigError."""
    source = find(name, SHIPPED, "configurations of the SLO app")
    return checked(SloConfig, read_layers(source, SECTIONS, environ, assignments), source)
