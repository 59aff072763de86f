"""What a row costs by batch size, for each shipped model, on one thread of the CPU."""

import time

import numpy as np

from bench._machine import RESULTS, save
from models.recurrent_session import open_session
from models.repository import Repository
from models.session import CPU, ModelSession

BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SECONDS = 0.4
POOL_ROWS = 1 << 17


def us_a_row(session: ModelSession, rows: int, width: int) -> float:
    """The median of runs over many different rows: a few that come again are learned by the branch predictor."""
    given = np.random.default_rng(0).uniform(0, 60, (POOL_ROWS, width)).astype(np.float32)
    out = np.zeros(rows, np.float32)
    took: list[int] = []
    until = time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        first = len(took) * rows % (POOL_ROWS - rows)
        started = time.perf_counter_ns()
        session.run(given[first : first + rows], out)
        took.append(time.perf_counter_ns() - started)
    return float(np.median(took)) / rows / 1000


def main() -> None:
    repository = Repository.shipped()
    measured: dict[str, dict[str, float]] = {}
    for name, version in repository.names():
        entry = repository.load(name, version)
        inputs = entry.manifest.inputs
        if not inputs:  # of images: bench.vision
            continue
        session = open_session(entry, providers=[CPU], buckets=BUCKETS, feature_names=inputs)
        session.warm()
        measured[f"{name}/{version}"] = {str(rows): us_a_row(session, rows, len(inputs)) for rows in BUCKETS}
        print(f"{name}/{version}", {rows: round(us, 2) for rows, us in measured[f"{name}/{version}"].items()})
    save("sessions", {"us_a_row": measured})
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4))
    for name, curve in measured.items():
        axis.loglog(BUCKETS, list(curve.values()), "o-", base=2, label=name)
    axis.set_xlabel("rows a batch")
    axis.set_ylabel("µs a row, one thread")
    axis.legend()
    figure.tight_layout()
    figure.savefig(RESULTS / "sessions.png", dpi=110)


if __name__ == "__main__":
    main()
