"""From a frame's bytes to a model's input: ms an image on one thread, beside OpenCV's decode and resize.

CPU time of the thread, so that what else runs on the machine counts little. Frames are made here, with the grain of
a camera; a JPEG takes the time of its bytes mostly, so they are stated. Needs Pillow, and OpenCV for its own column.
"""

import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from bench._machine import RESULTS, save
from models.manifest import ImageInput
from pipeline.image.decoder import ImageDecoder
from pipeline.image.duplicate import payload_hash
from pipeline.image.measures import MEASURES
from pipeline.image.probe import probe

SIDES = (128, 224)
SHAPES = {"200x200 grey": (200, 200, 1), "640x480": (480, 640, 3), "1920x1080": (1080, 1920, 3)}
SECONDS = 1.0
PIXELS_MAX = 1 << 25
OURS, WHOLE, OPENCV = "headrace", "headrace, not reduced", "OpenCV"


def frame(height: int, width: int, channels: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    waves = 120 + 60 * np.sin(x / 37) + 50 * np.cos(y / 53)
    grain = np.random.default_rng(0).normal(0, 4, (height, width, channels))
    return np.clip(waves[..., None] + grain, 0, 255).astype(np.uint8)


def written(pixels: np.ndarray, form: str) -> bytes:
    out = io.BytesIO()
    options: dict[str, Any] = {"quality": 90} if form == "JPEG" else {}
    Image.fromarray(pixels.squeeze()).save(out, form, **options)
    return out.getvalue()


def cpu_ms(act: Callable[[], object]) -> float:
    """The median of runs for a second."""
    act()
    took: list[float] = []
    until = time.perf_counter() + SECONDS
    while time.perf_counter() < until or len(took) < 5:
        start = time.thread_time_ns()
        act()
        took.append((time.thread_time_ns() - start) / 1e6)
    return float(np.median(took))


def ours(raw: bytes, image: ImageInput, reduce: bool) -> Callable[[], object]:
    value, decoder = np.frombuffer(raw, np.uint8), ImageDecoder(image, pixels_max=PIXELS_MAX, reduce=reduce)
    out = np.empty((image.channels, image.height, image.width), np.float32)
    measures, address = np.empty(len(MEASURES)), value.ctypes.data
    return lambda: decoder.decode(address, len(value), out, measures)


def opencv(raw: bytes, image: ImageInput) -> Callable[[], object] | None:
    """As one writes it with OpenCV: decode, resize by area, normalise, channels first. None where it is absent."""
    try:
        import cv2
    except ModuleNotFoundError:
        return None
    cv2.setNumThreads(1)
    value, mean, std = np.frombuffer(raw, np.uint8), np.float32(image.mean), np.float32(image.std)

    def act() -> np.ndarray:
        pixels = cv2.imdecode(value, cv2.IMREAD_COLOR if image.channels == 3 else cv2.IMREAD_GRAYSCALE)
        pixels = cv2.resize(pixels, (image.width, image.height), interpolation=cv2.INTER_AREA)
        if image.channels == 1:
            return ((pixels.astype(np.float32) / 255 - mean) / std)[None]
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
        return np.ascontiguousarray(((pixels.astype(np.float32) / 255 - mean) / std).transpose(2, 0, 1))

    return act


def measured(form: str, name: str, side: int) -> dict[str, Any]:
    height, width, channels = SHAPES[name]
    raw = written(frame(height, width, channels), form)
    image = ImageInput(
        height=side, width=side, channels=1 if channels == 1 else 3, mean=(0.5,) * channels, std=(0.5,) * channels
    )
    value = np.frombuffer(raw, np.uint8)
    ways = {OURS: ours(raw, image, True), WHOLE: ours(raw, image, False), OPENCV: opencv(raw, image)}
    return {
        "form": form,
        "frame": name,
        "side": side,
        "bytes": len(raw),
        "cpu_ms": {way: round(cpu_ms(act), 3) for way, act in ways.items() if act is not None},
        "probe_us": round(1000 * cpu_ms(lambda: probe(value.ctypes.data, len(value), PIXELS_MAX)), 1),
        "payload_hash_us": round(1000 * cpu_ms(lambda: payload_hash(value.ctypes.data, len(value))), 1),
    }


def plot(results: list[dict[str, Any]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(9, 4))
    for index, way in enumerate((OURS, WHOLE, OPENCV)):
        shown = [(place, found["cpu_ms"][way]) for place, found in enumerate(results) if way in found["cpu_ms"]]
        axis.bar([place + 0.27 * (index - 1) for place, _ in shown], [ms for _, ms in shown], 0.25, label=way)
    axis.set_yscale("log")
    names = [f"{found['form']} {found['frame']}\nto {found['side']}" for found in results]
    axis.set_xticks(range(len(results)), names, fontsize=7, rotation=45, ha="right")
    axis.set_ylabel("ms of CPU an image, one thread")
    axis.legend()
    figure.tight_layout()
    figure.savefig(RESULTS / "images.png", dpi=110)


def main() -> None:
    results = [measured(form, name, side) for form in ("JPEG", "PNG") for name in SHAPES for side in SIDES]
    for found in results:
        print(
            f"{found['form']} {found['frame']:>12} to {found['side']}  {found['bytes']:>8} bytes  {found['cpu_ms']}"
        )
    save("images", {"unit": "ms of CPU an image, one thread, median", "results": results})
    plot(results)


if __name__ == "__main__":
    main()
