"""Sending frames: cameras over a belt, each at its own rate, by a schedule that does not wait for anybody."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import simplejpeg

from pipeline.errors import HeadraceError
from pipeline.kafka.producer import ANY_PARTITION, LaneProducer
from pipeline.sim.surfaces import SurfaceSource

TICK_S = 0.002
FRAMES_A_SECOND = 25.0
"""Of one camera, unless told otherwise."""


@dataclass(frozen=True)
class Belt:
    """What the cameras see: `pictures` different surfaces, which come round again and again.

    They are drawn and encoded before the first is sent, so that encoding takes nothing from who decodes.
    """

    cameras: int = 8
    pictures: int = 64
    height: int = 200
    width: int = 200
    quality: int = 85
    clean_share: float = 0.8
    seed: int = 1

    def frames(self) -> list[bytes]:
        """The pictures as JPEGs."""
        source = SurfaceSource(self.seed, self.height, self.width, self.clean_share)
        return [
            simplejpeg.encode_jpeg(source.draw(number).pixels[:, :, None], self.quality, "GRAY")
            for number in range(self.pictures)
        ]


@dataclass(frozen=True)
class FrameLoad:
    """What to send: so many frames, at so many a second of all cameras together (0: as fast as possible).

    `distinct`: each ends in its own number, behind the picture where nobody looks, so that none has been seen before.
    """

    frames: int
    rate: float
    belt: Belt = Belt()
    topic: str = "frames"
    distinct: bool = False


@dataclass(frozen=True)
class SentFrames:
    """What was sent and delivered, and how far the sender fell behind its schedule at worst."""

    frames: int
    behind_ms_max: float


def drive_frames(
    settings: Mapping[str, str],
    load: FrameLoad,
    *,
    stop: Callable[[], bool] = lambda: False,
    timeout_ms: int = 10_000,
) -> SentFrames:
    """Send until all is sent or `stop` says so, then wait for the deliveries.

    Frame i is of camera i modulo their number, due at i / rate seconds after the first is delivered, whatever
    happened to those before it. Raises KafkaError when the topic or the cluster is not there, HeadraceError when
    deliveries fail.
    """
    pictures = load.belt.frames()
    producer = LaneProducer(settings)
    producer.partition_count(load.topic, timeout_ms)
    sent = failed = 0
    behind_s = 0.0
    started_ns = time.monotonic_ns()
    while sent < load.frames and not stop():
        ahead_s = (sent / load.rate if load.rate else 0.0) - (time.monotonic_ns() - started_ns) / 1e9
        if load.rate and ahead_s > 0:
            time.sleep(min(ahead_s, TICK_S))
            continue
        behind_s = max(behind_s, -ahead_s) if load.rate else 0.0
        if not _send(producer, load, pictures, sent):
            failed += _failures(producer)
            time.sleep(TICK_S)
            continue
        sent += 1
        if sent == 1:
            # It takes the broker half a second to know a producer: the others need not wait for that.
            producer.flush(timeout_ms)
            started_ns = time.monotonic_ns()
        if sent % 100 == 0:
            failed += _failures(producer)
    flushed = producer.flush(60_000)
    failed += _failures(producer)
    producer.close()
    if failed or not flushed:
        raise HeadraceError(f"{failed} simulated frames were not delivered, {'' if flushed else 'others wait still'}")
    return SentFrames(sent, behind_s * 1000)


def _send(producer: LaneProducer, load: FrameLoad, pictures: Sequence[bytes], number: int) -> bool:
    """Hand one frame over; False when there is no room for it."""
    turn, camera = divmod(number, load.belt.cameras)
    name = b"camera-%d" % (camera + 1)
    headers = [
        ("camera_id", name),
        ("frame_id", b"%d" % turn),
        ("captured_at", b"%d" % (time.time_ns() // 1_000_000)),
    ]
    value = pictures[number % len(pictures)] + (b"%d" % number if load.distinct else b"")
    code = producer.produce(load.topic, ANY_PARTITION, name, value, headers, number + 1)
    if code not in (0, producer.QUEUE_FULL):
        raise HeadraceError(f"a simulated frame of {len(value)} bytes was refused, code {code}")
    return code == 0


def _failures(producer: LaneProducer) -> int:
    return int(np.count_nonzero(producer.deliveries().error))
