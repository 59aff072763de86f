"""`headrace train`: a pipeline's models, from files with labels."""

import click

from pipeline.cli.train.fraud import fraud
from pipeline.cli.train.gru import gru
from pipeline.cli.train.vision import vision


@click.group()
def train() -> None:
    """Train a pipeline's models on files."""


train.add_command(fraud)
train.add_command(gru)
train.add_command(vision)
