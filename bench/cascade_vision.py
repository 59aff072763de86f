"""A cascade of two networks on real pictures: accuracy and CPU a frame against the large one alone.

`python -m bench.cascade_vision --data FOLDER`: a folder of images for each class, files numbered at the end of their
names. Both networks are trained on numbers 1 to 160 (the large one from the shipped weights), thresholds calibrated
on 161 to 200, and accuracy and cost measured on 201 to 250, which nothing was chosen on. Costs are of the models
alone, on one thread, in turns; a frame's decoding is the same for both. Weights go to --models, a folder of yours.
"""

import argparse
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench._machine import save
from models.cascade import confidence_of
from models.cascade_calibration import calibrate
from models.optimise.measure import Floats, Runnable
from models.repository import ModelEntry, Repository
from models.train.network import Recipe
from models.train.onnx_conv import Layer
from models.train.pictures import Pictures, within
from models.train.vision import SIDE, Plan, train
from pipeline.cli.train.vision import RATE_FROM_START
from pipeline.image.folder import Folder, list_folder, read_pictures, shown

TRAINED, CALIBRATED, TESTED = (1, 160), (161, 200), (201, 250)
SMALL_LAYERS = (Layer(7, 4, 16), Layer(3, 2, 24), Layer(3, 1, 32), Layer(3, 2, 64))
LARGE, SMALL = "surface-large", "surface-small"
LOSS_MAX = 0.003
CONFIDENCE = 0.5
"""As found: 240 frames cannot prove a loss of 0.3 points with more; the test's frames say whether it held."""
EPOCHS = {LARGE: 30, SMALL: 60}
BATCH, ROUNDS = 8, 40


def trained(folder: Folder, out: Path, seed: int) -> dict[str, ModelEntry]:
    chosen, held = within(folder.numbers, TRAINED), within(folder.numbers, CALIBRATED)
    used = chosen | held
    files = [folder.files[row] for row in np.flatnonzero(used).tolist()]
    pictures = read_pictures(
        folder.names, [path.read_bytes for path in files], folder.truth[used], SIDE, 1, lambda n: f"{files[n]}"
    )
    start = Repository.shipped().load("surface-cnn", "1")
    image = start.manifest.image
    assert image is not None
    plans = (
        Plan(name=LARGE, start=start, recipe=Recipe(EPOCHS[LARGE], rate=RATE_FROM_START)),
        Plan(name=SMALL, layers=SMALL_LAYERS, recipe=Recipe(EPOCHS[SMALL]), agreement_min=0, accuracy_drop_max=1),
    )
    for plan in plans:
        began = time.monotonic()
        train(
            Repository(out),
            pictures,
            chosen[used],
            held[used],
            plan,
            data="surface-defects",
            when=datetime.now(UTC).date(),
            seed=seed,
            show=shown,
            progress=lambda text, name=plan.name: print(f"{name}: {text}", end="\r", flush=True),
        )
        print(f"{plan.name}: trained in {time.monotonic() - began:.0f} s", flush=True)
    return {plan.name: Repository(out).load(plan.name, "1") for plan in plans}


def shown_by(entry: ModelEntry, folder: Folder, span: tuple[int, int]) -> tuple[Floats, Any]:
    """What the stream would show this model of those files, and their classes."""
    rows = np.flatnonzero(within(folder.numbers, span))
    sources = [folder.files[row].read_bytes for row in rows.tolist()]
    image = entry.manifest.image
    assert image is not None
    return shown(Pictures(folder.names, [], folder.truth[rows], sources), image), folder.truth[rows]


def cost_us(models: dict[str, Runnable], images: dict[str, Floats], sure_above: float) -> dict[str, list[float]]:
    """Process CPU a frame, us: the large one alone, and the cascade, in turns, over the same frames."""
    took: dict[str, list[float]] = {"alone": [], "cascade": []}
    count = len(images[LARGE])
    for turn in range(ROUNDS + 1):
        for name in ("alone", "cascade") if turn % 2 else ("cascade", "alone"):
            began = time.process_time_ns()
            for at in range(0, count, BATCH):
                if name == "cascade":
                    sure = confidence_of(models[SMALL].run(images[SMALL][at : at + BATCH])) > sure_above
                    if not sure.all():
                        models[LARGE].run(images[LARGE][at : at + BATCH][~sure])
                else:
                    models[LARGE].run(images[LARGE][at : at + BATCH])
            if turn:
                took[name].append((time.process_time_ns() - began) / count / 1e3)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/surface-defects"))
    parser.add_argument("--models", type=Path, help="Keep the weights here; used again where they are there.")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        print(f"no folder {arguments.data}: skipped")
        return
    folder = list_folder(arguments.data)
    with tempfile.TemporaryDirectory() as own:
        out = arguments.models or Path(own)
        there = {name for name, _ in Repository(out).names()} >= {LARGE, SMALL}
        entries = (
            {name: Repository(out).load(name, "1") for name in (LARGE, SMALL)}
            if there
            else trained(folder, out, arguments.seed)
        )
        found = [judged(entries, folder, quantised) for quantised in (False, True)]
    save("cascade_vision", {"calibrated_on": CALIBRATED, "tested_on": TESTED, "pairs": found})


def judged(entries: dict[str, ModelEntry], folder: Folder, quantised: bool) -> dict[str, Any]:
    """One pair: the small network, or its int8 form, before the large one."""
    entry = {LARGE: entries[LARGE], SMALL: entries[SMALL]}
    if quantised:
        entry[SMALL] = Repository(entries[SMALL].path.parents[2]).load(f"{SMALL}-int8", "1")
    models = {name: Runnable(name, each.path, each.manifest) for name, each in entry.items()}
    seen = {name: shown_by(each, folder, CALIBRATED) for name, each in entry.items()}
    answers = {name: models[name].answers(seen[name][0]) for name in models}
    found = calibrate(answers[SMALL], answers[LARGE], seen[LARGE][1], LOSS_MAX, CONFIDENCE)
    tested = {name: shown_by(each, folder, TESTED) for name, each in entry.items()}
    truth = tested[LARGE][1]
    said = {name: models[name].answers(tested[name][0]) for name in models}
    unsure = found.thresholds.unsure(confidence_of(said[SMALL]))
    classes = np.where(unsure, said[LARGE].argmax(axis=1), said[SMALL].argmax(axis=1))
    took = cost_us(models, {name: rows for name, (rows, _) in tested.items()}, found.thresholds.sure_above)
    ratio = float(np.median(np.array(took["cascade"]) / np.array(took["alone"])))
    result = {
        "small": entry[SMALL].manifest.name,
        "sure_above": found.thresholds.sure_above,
        "calibration": {"frames": found.expected.rows, "passed_share": found.expected.passed_share,
                        "large": found.second_quality, "cascade": found.cascade_quality},
        "frames": len(truth),
        "passed_share": float(unsure.mean()),
        "accuracy": {"large": float((said[LARGE].argmax(axis=1) == truth).mean()),
                     "small": float((said[SMALL].argmax(axis=1) == truth).mean()),
                     "cascade": float((classes == truth).mean())},
        "cpu_us_a_frame": {name: float(np.median(turns)) for name, turns in took.items()},
        "cpu_ratio": ratio,
    }  # fmt: skip
    print(result, flush=True)
    return result


if __name__ == "__main__":
    main()
