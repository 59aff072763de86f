"""What to say while a cluster cannot be reached: enough to act on, and no line for each attempt. Pure."""

NS_PER_S = 1_000_000_000
REPEAT_NS = 60 * NS_PER_S


class Outage:
    """Knows whether the last thing said was that `address` is gone. Times are of any monotonic clock, in ns.

    It is said once that it went, once a minute while it is gone, and once that it is back. Where some brokers answer
    and others do not, both happen at once; then nothing more is said within the minute.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._since_ns = 0
        self._told_ns: int | None = None
        self._attempts = 0
        self.told = False

    def failed(self, why: str, now_ns: int) -> str | None:
        """An attempt to connect failed; returns what to say of it, if anything."""
        self._attempts += 1
        if self._told_ns is not None and now_ns - self._told_ns < REPEAT_NS:
            return None
        self._told_ns = now_ns
        if not self.told:
            self.told, self._since_ns, self._attempts = True, now_ns, 1
            return f"no connection to {self._address}: {why}"
        gone_s = (now_ns - self._since_ns) // NS_PER_S
        return f"no connection to {self._address} for {gone_s} s, {self._attempts} attempts: {why}"

    def reached(self, now_ns: int) -> str | None:
        """The cluster answered; returns what to say of it, if it was said to be gone."""
        if not self.told:
            return None
        self.told = False
        return f"{self._address} answers again, after {(now_ns - self._since_ns) // NS_PER_S} s"
