"""Files in place of topics: which file is which input, under which column names, with which labels."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click
import pyarrow as pa

from features.duration import duration_ms
from pipeline.config.model import PipelineConfig
from pipeline.tables import count_rows, derived_labels, read_events

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class InputFiles:
    """What the options say; `state` has a file by input name, `renamed` a column by field."""

    deciding: Path
    state: Mapping[str, Path]
    renamed: Mapping[str, str]
    label_column: str | None
    label_delay_ms: int

    def open(self, config: PipelineConfig) -> dict[str, Iterator[pa.RecordBatch]]:
        """The events of each input, in its file's order."""
        catalog = config.catalog
        if catalog.decided.format == "image":
            raise click.UsageError(
                f"{config.pipeline.name} decides on images, and a file of rows has none: produce them to topic "
                f"{catalog.decided.topic!r} and run with --set pipeline.mode=replay"
            )
        for name in self.state:
            if name not in catalog.inputs or name == catalog.deciding_input:
                raise click.BadParameter(f'{name!r} is no input with role "state"', param_hint="--input")
        tables = {name: read_events(path, catalog.inputs[name]) for name, path in self.state.items()}
        tables[catalog.deciding_input] = read_events(self.deciding, catalog.decided, self.renamed)
        if self.label_column is not None:
            labels = next((entity.labels for entity in catalog.entities.values() if entity.labels), None)
            if labels is None:
                raise click.BadParameter("no entity of this pipeline has labels", param_hint="--label-column")
            events = read_events(self.deciding, catalog.decided, self.renamed, extra=self.label_column)
            spec = catalog.inputs[labels.input]
            tables[labels.input] = derived_labels(
                events, catalog.decided, spec, labels.field, self.label_column, self.label_delay_ms
            )
        return tables

    def known_to(self, config: PipelineConfig, other: PipelineConfig) -> "InputFiles":
        """What of this is for `config`, where the rest is for `other`: its state inputs, labels if it takes any."""
        state = {
            name: path
            for name, path in self.state.items()
            if name in config.catalog.inputs or name not in other.catalog.inputs
        }
        labelled = any(entity.labels for entity in config.catalog.entities.values())
        return replace(self, state=state, label_column=self.label_column if labelled else None)

    def rows(self) -> int | None:
        """How many events there are to decide, where the file says so without being read."""
        return count_rows(self.deciding)


def input_options(command: F) -> F:
    """FILE, `--input`, `--column`, `--label-column` and `--label-delay`, handed over as one `files`."""
    for option in (
        click.option("--label-delay", default="7d", show_default=True, help="When such a label comes to be known."),
        click.option("--label-column", metavar="NAME", help="A bool column of FILE to derive the labels from."),
        click.option("--column", "columns", multiple=True, metavar="FIELD=NAME", help="A column named otherwise."),
        click.option("--input", "inputs", multiple=True, metavar="INPUT=FILE", help="The file of a state input."),
        click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False)),
    ):
        command = option(command)
    return command


def input_files(
    file: Path, inputs: tuple[str, ...], columns: tuple[str, ...], label_column: str | None, label_delay: str
) -> InputFiles:
    """The options, checked for their form."""
    try:
        delay_ms = duration_ms(label_delay)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--label-delay") from None
    state = {name: Path(path) for name, path in _pairs("--input", inputs).items()}
    return InputFiles(file, state, _pairs("--column", columns), label_column, delay_ms)


def _pairs(option: str, given: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise click.BadParameter(f"found {text!r}, expected NAME=VALUE", param_hint=option)
        pairs[name] = value
    return pairs
