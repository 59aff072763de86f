"""How long a decision takes from hand-over to delivery, learned: what deadlines leave room for. Pure."""


class DeliveryTime:
    """The learned time from hand-over to delivery: a running upper quantile, pure.

    A stochastic approximation of the 0.99 quantile (Robbins and Monro, 1951): one step up of 99 parts for each
    delivery above it, one part down for each below.
    """

    def __init__(self, seed_ns: int = 5_000_000, step_ns: int = 50_000) -> None:
        self._quantile_ns = seed_ns
        self._step_ns = step_ns

    @property
    def promised_ns(self) -> int:
        """What deadlines leave room for."""
        return self._quantile_ns

    def observe(self, slowest_ns: int) -> None:
        """The slowest of a batch of deliveries took so long."""
        if slowest_ns > self._quantile_ns:
            self._quantile_ns += min(99 * self._step_ns, slowest_ns - self._quantile_ns)
        else:
            self._quantile_ns = max(0, self._quantile_ns - self._step_ns)
