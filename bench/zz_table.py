"""The table in the README, written from the results that are there: last of the benchmarks."""

import json
from pathlib import Path
from typing import Any

from bench._machine import RESULTS

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- bench table: begin -->\n", "<!-- bench table: end -->"


def result(name: str) -> dict[str, Any] | None:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def throughput(found: dict[str, Any]) -> list[tuple[str, str]]:
    median = found["median"]
    return [
        ("consume and produce unchanged, confluent-kafka's own clients", f"{median['plain']:,.0f} events/s"),
        ("consume and produce unchanged, bulk lanes", f"{median['bulk']:,.0f} events/s"),
        (
            "fraud pipeline: 15 features, 100 trees, JSON decisions, one process",
            f"{median['headrace']:,.0f} events/s, {found['of_plain_client']:.2f} of the plain client",
        ),
    ]


def latency(found: dict[str, Any]) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for trial in found["trials"]:
        name = "fraud pipeline" if trial["way"] == "pipeline" else "two hops, nothing between"
        text = f"p50 {trial['ms']['0.5']:.1f} ms, p99 {trial['ms']['0.99']:.1f} ms, {trial['cores']:.2f} cores"
        if trial["way"] == "pipeline":
            text += f", in-process p99 {trial['in_process_us']['0.99'] / 1000:.1f} ms"
        rows.append((f"{name} at {trial['rate']:,.0f} events/s", text))
    return rows


def recovery(found: dict[str, Any]) -> list[tuple[str, str]]:
    exact = found["exact"]
    took_s = [kill["first_decision_s"] for kill in exact["kills"]]
    return [
        (
            f"killed with {found['customers']:,} customers of {found['events']} events and {found['terminals']:,} "
            f"terminals in state, under {found['rate']:,} events/s: from the start to the first decision",
            f"{min(took_s):.1f} to {max(took_s):.1f} s",
        ),
        (
            "in-process p99 at that load with checkpoints every 30 s, and without",
            f"{exact['p99_with_ms']:.1f} ms, {exact['p99_without_ms']:.1f} ms",
        ),
    ]


def delivery(found: dict[str, Any]) -> list[tuple[str, str]]:
    many, late = found["throughput"], found["latency"]
    trials = late["trials"]
    return [
        (
            f"exactly once at a commit every {many['commit_ms']} ms",
            f"{many['median']['exactly_once']:,.0f} events/s, {many['exactly_of_at_least']:.2f} of at least once in "
            f"the same run; a commit takes {many['commit_takes_ms']:.0f} ms",
        ),
        (
            f"exactly once at a commit every {late['commit_ms']} ms and half load, {late['capacity'] / 2:,.0f} "
            "events/s, until the committed decision is read",
            f"p50 {trials['exactly_once']['ms']['0.5']:.1f} ms, p99 {trials['exactly_once']['ms']['0.99']:.1f} ms; "
            f"at least once p50 {trials['at_least_once']['ms']['0.5']:.1f} ms, "
            f"p99 {trials['at_least_once']['ms']['0.99']:.1f} ms",
        ),
    ]


def telemetry(found: dict[str, Any]) -> list[tuple[str, str]]:
    name = "with metrics, health and page told and asked for each second, of the same process silent"
    return [(name, f"{found['told_of_silent_median']:.3f} of the throughput")]


def kernels(found: dict[str, Any]) -> list[tuple[str, str]]:
    memory = found["memory"]
    mean = found["ns_an_event"]["mean, exact"]["10000"]
    return [
        ("one exact window, 10,000 keys", f"{mean:.0f} ns an event"),
        (
            f"state of {memory['customers']:,} customers with 58 events each",
            f"{memory['customer_bytes_a_key']:,.0f} bytes a customer, "
            f"{memory['customer_bytes_a_key_30_panes']:,.0f} in 30 panes",
        ),
    ]


def batcher(found: dict[str, Any]) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    ours, usual = found["real"]["headrace"], found["real"]["fixed size, timeout"]
    for load in (1.0, 2.0, 10.0):
        at, once = found["loads"].index(load), found["loads"].index(1.0)
        good, other = (way[at]["goodput"] / ours[once]["goodput"] for way in (ours, usual))
        rows.append(
            (
                f"goodput behind a model of 1 ms a row at {load:g} times the capacity, of ours at 1",
                f"{good:.2f}; dynamic batching by size and timeout {other:.2f}",
            )
        )
    return rows


def overload(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (
            f"fraud pipeline at 1.5 times {found['capacity']:,.0f} events/s for 60 s",
            f"{found['over']['outcomes']['scored']:.0%} scored, all answered, "
            f"p99 age below the budget {found['recovered_s']:.1f} s after it",
        ),
        (
            "an expired event against a scored one, CPU",
            f"{found['costs']['expired']['cpu_us']:.1f} against {found['costs']['scored']['cpu_us']:.1f} us",
        ),
    ]


def start(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [("start of the process to the first decision, caches warm", f"{found['median']:.1f} s")]


def images(found: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for case in found["results"]:
        if case["form"] == "JPEG" and case["side"] == 128:
            spent = case["cpu_ms"]
            beside = f"; OpenCV's decode and resize {spent['OpenCV']:.2f} ms" if "OpenCV" in spent else ""
            rows.append(
                (
                    f"JPEG {case['frame']}, {case['bytes']:,} bytes, to 128 x 128",
                    f"{spent['headrace']:.2f} ms{beside}",
                )
            )
    return rows


SHIPPED_WAY = ("surface-cnn", 2)
"""The model and the threads of the vision pipeline as it is shipped."""


def vision(found: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for case in found["cases"]:
        if (case["model"], case["threads"]) == SHIPPED_WAY:
            beside = f", {case['of_plain']:.1f} times OpenCV and ONNX Runtime a frame" if "of_plain" in case else ""
            text = f"{case['pipeline']:,.0f} frames/s, {case['of_limit']:.2f} of decode and inference alone{beside}"
            rows.append((f"vision pipeline, JPEG {case['size']}, two threads", text))
    for size, bytes_of in found["frame_bytes"].items():
        costs = {
            case["model"]: case["cpu_s_a_thousand"]
            for case in found["cases"]
            if (case["size"], case["threads"]) == (size, 1)
        }
        plain, eight_bits = costs["surface-cnn"], costs["surface-cnn-int8"]
        name = f"CPU of a thousand frames, JPEG {size} of {bytes_of:,} bytes"
        rows.append((name, f"{plain:.2f} s; with the int8 model {eight_bits:.2f} s"))
    return rows


def vision_live(found: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    *trials, coalescing = found["trials"]
    over = next(trial for trial in trials if trial["rate"] == coalescing["rate"])
    usual, age = trials[0], trials[0]["age_ms"]
    name = f"{usual['cameras']} cameras, JPEG {usual['size']}, {usual['rate']:,.0f} frames/s"
    text = f"{usual['inside']:.2%} inside {found['budget_ms']} ms; p50 {age['0.5']:.0f} ms, p99 {age['0.99']:.0f} ms"
    rows.append((name, text))
    name = (
        f"goodput of JPEG {over['size']} at {over['rate']:,.0f} frames/s, of a capacity of {found['capacity']:,.0f}"
    )
    good, newest = (trial["goodput_s"] / found["capacity"] for trial in (over, coalescing))
    rows.append((name, f"{good:.2f}; with `coalesce` {newest:.2f}"))
    return rows


def vision_quality(found: dict[str, Any]) -> list[tuple[str, str]]:
    told = " and ".join(f"{each['accuracy']:.2%} ({each['model']})" for each in found["models"])
    what = f"class of {found['files']} held-out files of {found['data']}, over Kafka"
    return [(f"{what}; one training of those in docs/vision-models.md", f"{told} right")]


def gru(found: dict[str, Any]) -> list[tuple[str, str]]:
    us = found["us_an_event"]["128"]
    again = min(us["operator, whole"], us["written out, whole"])
    name = (
        f"a recurrent model, state and all: one step against its last {found['steps']} events again, batches of 128"
    )
    kept = f"{found['state_bytes_a_card']} against {found['ring_bytes_a_card']:,} bytes a card"
    return [(name, f"{us['step, whole']:.1f} against {again:.1f} us of CPU an event; {kept}")]


def main() -> None:
    rows: list[tuple[str, str]] = []
    machine = ""
    parts = (
        ("end_to_end", throughput),
        ("latency", latency),
        ("delivery", delivery),
        ("telemetry", telemetry),
        ("recovery", recovery),
        ("batcher", batcher),
        ("overload", overload),
        ("kernels", kernels),
        ("gru", gru),
        ("images", images),
        ("vision", vision),
        ("vision_live", vision_live),
        ("vision_live_1920x1080", vision_live),
        ("vision_quality", vision_quality),
        ("start", start),
    )
    for name, make in parts:
        if (found := result(name)) is not None:
            rows += make(found)
            machine = f"{found['machine']['cpu']}, {found['machine']['cores']} cores, the broker on the same machine"
    lines = ["| what | measured |", "| --- | --- |", *(f"| {left} | {right} |" for left, right in rows)]
    table = "\n".join([*lines, "", f"Measured on {machine}. Ratios travel, absolutes do not.", ""])
    text = README.read_text()
    first, last = text.index(BEGIN) + len(BEGIN), text.index(END)
    README.write_text(text[:first] + table + text[last:])


if __name__ == "__main__":
    main()
