"""`headrace config`: is it usable, and what is in force?"""

import click

from pipeline.cli.options import bootstrap_option, config_options, load_config
from pipeline.config.load import Loaded


@click.group()
def config() -> None:
    """Check a configuration, or show the values in force."""


@config.command()
@config_options
@bootstrap_option
@click.option("--broker/--no-broker", default=False, help="Also reach the cluster and look for the topics.")
def check(name: str, assignments: tuple[str, ...], bootstrap: str | None, broker: bool) -> None:
    """Check the file, the features, the models, and with --broker the cluster; every mistake is named."""
    from pipeline.cli.checks import (
        check_checkpoints,
        check_cluster,
        check_features,
        check_kafka_settings,
        check_models,
        check_traces,
    )

    loaded = load_config(name, assignments, bootstrap)
    for title, step in (
        ("features", check_features),
        ("models", check_models),
        ("Kafka settings", check_kafka_settings),
        ("checkpoints", check_checkpoints),
        ("traces", check_traces),
        *((("cluster", check_cluster),) if broker else ()),
    ):
        click.echo(f"{title}: {step(loaded.config)}")
    click.echo(f"{loaded.source}: usable")


@config.command()
@config_options
@bootstrap_option
@click.option("--json", "json_", is_flag=True, help="A list of {key, value, origin} instead of TOML.")
def show(name: str, assignments: tuple[str, ...], bootstrap: str | None, json_: bool) -> None:
    """Print the values in force as TOML, the origin of each beside it; secrets are masked."""
    from pipeline.config.show import as_json, as_toml

    loaded: Loaded = load_config(name, assignments, bootstrap)
    click.echo(as_json(loaded) if json_ else as_toml(loaded), nl=json_)
