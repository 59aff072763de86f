"""The shipped fraud models, made again from simulated traffic: `python -m pipeline.sim.ship`."""

import os
import sys
from datetime import UTC, datetime

from models.repository import Repository
from models.train.evaluate import Split
from models.train.fraud import train
from pipeline.config.load import load
from pipeline.sim.table import simulated_table
from pipeline.sim.transactions import Population

POPULATION = Population(seed=7)
DAYS = 61
START_MS = 1_577_836_800_000  # 2020-01-01
SPLIT = Split(train_from=40)
SEED = 1


def main() -> None:
    """Simulate, train, register; the same files for the same versions of the training libraries, but for the day."""
    table = simulated_table(POPULATION, DAYS, START_MS)
    catalog = load("fraud", environ=os.environ).config.catalog
    data = f"simulated: seed {POPULATION.seed}, {DAYS} days, {table.num_rows} transactions"
    entries = train(
        Repository.shipped(),
        catalog,
        table,
        data=data,
        when=datetime.now(UTC).date(),
        split=SPLIT,
        seed=SEED,
        progress=lambda text: print(text, file=sys.stderr),  # noqa: T201
    )
    for entry in entries:
        print(entry.path, entry.manifest.quality, file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
