"""What answers that were given again have spared, and what looking for them took; by tier."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.runner import Scored
from pipeline.tier import ModelTier, Tier

_NS_PER_US = 1_000


@dataclass(slots=True)
class Saved:
    """Of one tier: rows looked up, those of them that were spared, what these were expected to cost, what it took."""

    rows: int = 0
    spared: int = 0
    saved_ns: int = 0
    lookup_ns: int = 0


class Savings:
    """Adds up what each batch spared: by the tier's cost model, all rows less those that were run."""

    def __init__(self, tiers: Sequence[Tier]) -> None:
        self._tiers = tiers
        self._by_tier = {number: Saved() for number, tier in enumerate(tiers) if isinstance(tier, ModelTier)}

    def observe(self, scored: Scored) -> None:
        """A batch of a tier whose answers are kept has come back."""
        tier = self._tiers[scored.batch.tier]
        if not isinstance(tier, ModelTier):
            return
        saved, rows = self._by_tier[scored.batch.tier], len(scored.slots)
        saved.rows += rows
        saved.lookup_ns += scored.lookup_ns
        if rows > scored.cost_rows:
            run_ns = tier.cost.expected_ns(scored.cost_rows) if scored.cost_rows else 0
            saved.spared += rows - scored.cost_rows
            saved.saved_ns += max(0, tier.cost.expected_ns(rows) - run_ns)

    def counts(self) -> dict[str, int]:
        """Running totals by name and tier."""
        found = {}
        for number, saved in self._by_tier.items():
            tier = self._tiers[number].name
            found[f"reuse_rows/{tier}"] = saved.rows
            found[f"reuse_spared/{tier}"] = saved.spared
            found[f"saved_us/{tier}"] = saved.saved_ns // _NS_PER_US
            found[f"lookup_us/{tier}"] = saved.lookup_ns // _NS_PER_US
        return found
