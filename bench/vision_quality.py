"""Accuracy over Kafka: files that a model was not trained on, through the pipeline, their decisions read back.

`python -m bench.vision_quality --data FOLDER --models REPOSITORY`: a folder of images for each class, and what
`headrace train vision --data FOLDER --train-numbers 1-200 --out REPOSITORY` wrote. Sends the files whose names end in
a number that was held out, as often as --times says, and prints for float32 and int8 how many have their class, how
far int8 is behind, and what a thousand frames cost.
"""

import argparse
import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

import pipeline
from bench._cluster import delete_topics, make_topics, real_cluster
from bench._machine import save
from bench._vision_backlog import backlog
from bench._vision_frames import SETTLE_S, TOPICS, VERSION
from models.repository import Repository

CAMERAS = 8
READ_S_MAX = 30.0
SETTINGS = {"enable.idempotence": True, "partitioner": "murmur2_random", "message.max.bytes": 20_000_000}


def held_out(data: Path, first: int, last: int) -> list[tuple[Path, str]]:
    """The files of those numbers, each with the class whose folder it is in."""
    files = sorted(path for folder in sorted(data.iterdir()) if folder.is_dir() for path in folder.iterdir())
    numbers = [re.search(r"(\d+)$", path.stem) for path in files]
    return [
        (path, path.parent.name)
        for path, number in zip(files, numbers, strict=True)
        if number is not None and first <= int(number[1]) <= last
    ]


def send(bootstrap: str, topic: str, files: list[tuple[Path, str]], times: int) -> None:
    """Frame n is file n modulo their number, of camera n modulo theirs; no header tells the class."""
    producer = Producer({"bootstrap.servers": bootstrap, **SETTINGS})
    values = [path.read_bytes() for path, _ in files]
    for number in range(len(files) * times):
        camera = b"camera-%d" % (number % CAMERAS + 1)
        headers = [
            ("camera_id", camera),
            ("frame_id", b"%d" % number),
            ("captured_at", b"%d" % (time.time_ns() // 1_000_000)),
        ]
        producer.produce(topic, values[number % len(values)], camera, headers=headers)
        producer.poll(0)
    if producer.flush(60):
        raise SystemExit("not all frames were delivered")


def read(bootstrap: str, topic: str, count: int) -> list[dict[str, Any]]:
    """So many decisions, by an ordinary consumer."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "quality", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(TOPICS["decisions"])])
    decisions: list[dict[str, Any]] = []
    until = time.monotonic() + READ_S_MAX
    while len(decisions) < count and time.monotonic() < until:
        decisions += [json.loads(each.value()) for each in consumer.consume(500, 0.2) if each.error() is None]
    consumer.close()
    if len(decisions) != count:
        raise SystemExit(f"{len(decisions)} decisions were read, expected {count}")
    return decisions


def own_configuration(folder: Path, model: str, classes: Sequence[str]) -> Path:
    """The shipped pipeline with this model alone, which decides by class: no class of the data need be clean."""
    text = Path(pipeline.__file__).with_name("configs").joinpath("vision.toml").read_text()
    head, _, rest = text.partition("[[tiers]]")
    _, overrides, tail = rest.partition("[[overrides]]")
    tier = f'[[tiers]]\nname = "primary"\nmodel = "{model}"\nversion = "{VERSION}"\n'
    decisions = "".join(f'"{name}" = "reject"\n' for name in classes)
    decide = f'[decide]\nlabels = ["pass", "inspect", "reject"]\nfallback = "inspect"\n[decide.classes]\n{decisions}'
    path = folder / "vision.toml"
    path.write_text(f"{head}{tier}{decide}{overrides}{tail}")
    return path


def judged(bootstrap: str, folder: Path, model: str, files: list[tuple[Path, str]], times: int) -> dict[str, Any]:
    """One model over all files, on topics of its own."""
    suffix, count = f"-{model}-{time.time_ns()}", len(files) * times
    make_topics(bootstrap, {name + suffix: partitions for name, partitions in TOPICS.items()})
    time.sleep(SETTLE_S)
    send(bootstrap, f"frames{suffix}", files, times)
    entry = Repository(folder).load(model, VERSION)
    with tempfile.TemporaryDirectory() as own:
        source = own_configuration(Path(own), model, entry.manifest.classes)
        ran = backlog(bootstrap, suffix, count, folder, (), source=str(source))
    decisions = read(bootstrap, f"decisions{suffix}", count)
    delete_topics(bootstrap, [name + suffix for name in TOPICS])
    assert all(each["model"] == model and each["outcome"] == "scored" for each in decisions), decisions[0]
    said = {int(each["id"]): each["class"] for each in decisions}
    right = np.array([said[number] == files[number % len(files)][1] for number in range(count)])
    wrong = Counter(
        f"{files[number % len(files)][1]} as {said[number]}" for number in range(len(files)) if not right[number]
    )
    return {
        "model": model,
        "accuracy": float(right.mean()),
        "wrong": dict(wrong.most_common()),
        "cpu_s_a_thousand": ran["cpu_s_a_thousand"],
        "frames_s": ran["frames_s"],
        "bytes": entry.path.stat().st_size,
        "said": [said[number] for number in range(len(files))],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/surface-defects"))
    parser.add_argument("--models", type=Path, default=Path("my-models"))
    parser.add_argument("--name", default="surface-cnn", help="of the float32 model; int8 is NAME-int8")
    parser.add_argument("--holdout-numbers", default="201-250", metavar="FIRST-LAST")
    parser.add_argument("--times", type=int, default=10, help="how often each file is sent")
    arguments = parser.parse_args()
    if not arguments.data.is_dir() or not arguments.models.is_dir():
        missing = [str(path) for path in (arguments.data, arguments.models) if not path.is_dir()]
        print(f"no folder {' and none '.join(missing)}: skipped")
        return
    first, last = map(int, arguments.holdout_numbers.split("-"))
    files = held_out(arguments.data, first, last)
    names = [name for name, version in Repository(arguments.models).names() if version == VERSION]
    models = [name for name in (arguments.name, f"{arguments.name}-int8") if name in names]
    if not files or not models:
        print(f"{len(files)} held-out files, models {', '.join(models) or 'none'}: skipped")
        return
    found = []
    with real_cluster() as bootstrap:
        for model in models:
            found.append(judged(bootstrap, arguments.models, model, files, arguments.times))
            told = {key: value for key, value in found[-1].items() if key != "said"}
            print(json.dumps(told), flush=True)
    result: dict[str, Any] = {"data": arguments.data.name, "files": len(files), "models": found}
    if len(found) > 1:
        result["behind_points"] = 100 * (found[0]["accuracy"] - found[1]["accuracy"])
        result["agreement"] = float(
            np.mean([a == b for a, b in zip(*(each.pop("said") for each in found), strict=True)])
        )
        cost, behind = [each["cpu_s_a_thousand"] for each in found], result["behind_points"]
        print(
            f"accuracy {found[0]['accuracy']:.2%} and {found[1]['accuracy']:.2%}: int8 is {behind:.2f} points behind "
            f"and agrees on {result['agreement']:.2%}; {cost[0]:.2f} and {cost[1]:.2f} s of CPU a thousand frames, "
            f"{found[0]['bytes']:,} and {found[1]['bytes']:,} bytes"
        )
    else:
        print(f"no {arguments.name}-int8 in {arguments.models}: it is not compared")
    save("vision_quality", result)


if __name__ == "__main__":
    main()
