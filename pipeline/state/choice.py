"""Which checkpoint of a slice to go on from, and what must be read again. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from features.signature import OUTCOMES, Signature, why_unfit
from pipeline.errors import HeadraceError
from pipeline.state.manifest import Manifest

OnLost = Literal["stop", "rebuild", "start-fresh"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a partition's topic still holds, and (of a slice's own partition) where deciding goes on."""

    low: int
    high: int
    committed: int | None = None


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a checkpoint is usable: `refused` says why not.

    `rebuilt` says which entities it cannot serve, and why; `emptied` the same of outcome state, which begins anew.
    """

    refused: str
    rebuilt: Mapping[str, str]
    emptied: Mapping[str, str]

    @property
    def left_out(self) -> Mapping[str, str]:
        """All that is not taken from the checkpoint."""
        return {**self.rebuilt, **self.emptied}


class LostStateError(HeadraceError):
    """State cannot be made whole: what stood in the way, and what the operator can choose."""

    def __init__(self, slice_name: str, why: str) -> None:
        super().__init__(
            f"{slice_name}: {why}. Its windows cannot be made whole from what is kept. Choose for one start: "
            f"checkpoint.on_lost = rebuild (windows from the oldest record kept) or start-fresh (empty windows)"
        )


def fit(manifest: Manifest, wanted: Mapping[str, Signature], bounds: Mapping[str, Bounds]) -> Fit:
    """Hold a checkpoint against the topics and the feature set; `bounds` by "topic/partition".

    A partition that the checkpoint does not know is read from its beginning.
    """
    rebuilt: dict[str, str] = {}
    emptied: dict[str, str] = {}
    for entity, signature in wanted.items():
        stored = manifest.signatures.get(entity)
        if why := "it is not in the checkpoint" if stored is None else why_unfit(stored, signature):
            (emptied if OUTCOMES in signature else rebuilt)[entity] = why
    return Fit(_why_refused(manifest, bounds), rebuilt, emptied)


def _why_refused(manifest: Manifest, bounds: Mapping[str, Bounds]) -> str:
    lowest, highest = manifest.lowest, manifest.highest
    for partition, bound in bounds.items():
        if partition not in lowest:
            continue
        if lowest[partition] < bound.low:
            return f"it needs {partition} from offset {lowest[partition]} on, which begins at {bound.low}"
        if highest[partition] > bound.high:
            return f"it has taken {partition} up to {highest[partition]}, which ends at {bound.high}"
        if bound.committed is not None and highest[partition] > bound.committed:
            above = f"above the committed offset {bound.committed}"
            return f"it stands for offset {highest[partition]} of {partition}, {above}"
    return ""


def check_whole(
    slice_name: str, refused: Mapping[str, str], rebuilt: Mapping[str, str], truncated: str, on_lost: OnLost
) -> None:
    """Raise LostStateError when something must be built from topics that no longer hold all of it.

    refused: checkpoints that there are but that cannot be used; rebuilt: entities that none of them serves, in both
    cases with the reason; truncated: what says that a topic has lost its beginning, "" when none has.
    """
    if on_lost != "stop" or not truncated or not (refused or rebuilt):
        return
    reasons = [f"checkpoint {name}: {why}" for name, why in refused.items()]
    reasons += [f"entity {name!r}: {why}" for name, why in rebuilt.items()]
    raise LostStateError(slice_name, "; ".join([*reasons, truncated]))
