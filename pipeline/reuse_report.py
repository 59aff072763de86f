"""How often a like picture's answer was wrong, by one model on recorded frames: what such reuse rests on."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from models.bounds import upper_bound
from models.repository import ModelEntry
from pipeline.config.frame_sections import ReuseSection
from pipeline.config.problems import ConfigError, Problem

BITS_MAX = 16
DOUBT = 0.05
"""One minus the confidence of the bound on the share of wrong answers."""
REPORT_VERSION = 1


class Reused(msgspec.Struct, frozen=True):
    """With so many bits: how many frames would have been given a like one's answer, and how many of those wrongly."""

    bits: int
    reused: int
    wrong: int

    @property
    def wrong_rate_max(self) -> float:
        """The share of wrong answers that is not exceeded, with 95 % confidence."""
        return upper_bound(self.wrong, self.reused, DOUBT)


class ReuseReport(msgspec.Struct, frozen=True):
    """What was measured, with which model, looking at which part of the frames and how many late ones."""

    v: int
    model: str
    version: str
    sha256: str
    crop: tuple[float, float, float, float]
    near_rows: int
    cameras: int
    frames: int
    by_bits: tuple[Reused, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame as the model saw it: its perceptual hash and its decision."""

    perceptual_hash: int
    decision: int


def replayed(frames: Sequence[Seen], bits: int, near_rows: int) -> Reused:
    """One camera's frames in order, as `Reuse` would have answered them."""
    late: deque[Seen] = deque(maxlen=near_rows)
    reused = wrong = 0
    for frame in frames:
        apart = [(other.perceptual_hash ^ frame.perceptual_hash).bit_count() for other in late]
        if min(apart, default=bits + 1) > bits:
            late.append(frame)
            continue
        reused += 1
        wrong += late[apart.index(min(apart))].decision != frame.decision
    return Reused(bits, reused, wrong)


def report_of(
    entry: ModelEntry, crop: tuple[float, float, float, float], near_rows: int, frames: Mapping[str, Sequence[Seen]]
) -> ReuseReport:
    """All numbers of bits up to BITS_MAX, over all cameras."""
    rows = []
    for bits in range(BITS_MAX + 1):
        found = [replayed(seen, bits, near_rows) for seen in frames.values()]
        rows.append(Reused(bits, sum(each.reused for each in found), sum(each.wrong for each in found)))
    manifest = entry.manifest
    model = (manifest.name, manifest.version, manifest.sha256)
    count = sum(map(len, frames.values()))
    return ReuseReport(REPORT_VERSION, *model, crop, near_rows, len(frames), count, tuple(rows))


def check_report(reuse: ReuseSection, entry: ModelEntry, crop: Sequence[float]) -> Reused:
    """The measurement that this reuse rests on. Raises ConfigError when there is none, or it forbids it."""
    file, bits, near_rows, wrong_max = Path(reuse.near_report), reuse.near_bits, reuse.near_rows, reuse.near_false_max

    def refused(text: str) -> ConfigError:
        return ConfigError("", [Problem("reuse.near_report", f"{file}: {text}")])

    try:
        report = msgspec.json.decode(file.read_bytes(), type=ReuseReport)
    except (OSError, msgspec.DecodeError) as error:
        raise refused(f"cannot be read as a report of `headrace models reuse`: {error}") from None
    if report.sha256 != entry.manifest.sha256:
        name = f"{entry.manifest.name}/{entry.manifest.version}"
        raise refused(f"is about {report.model}/{report.version} of another sha256, expected the one of {name}")
    if list(report.crop) != list(crop) or report.near_rows != near_rows:
        found = f"crop {list(report.crop)} and near_rows {report.near_rows}"
        raise refused(f"was measured with {found}, expected {list(crop)} and {near_rows}")
    measured = next((row for row in report.by_bits if row.bits == bits), None)
    if measured is None:
        raise refused(f"says nothing of {bits} bits, it goes up to {BITS_MAX}")
    if measured.wrong_rate_max > wrong_max:
        raise refused(
            f"with {bits} bits {measured.wrong} of {measured.reused} answers were wrong, so the share may be "
            f"{measured.wrong_rate_max:.2g} (95 % confidence), above near_false_max = {wrong_max:g}"
        )
    return measured
