"""What the SLO app says, for the page: asked beside, seldom, and never waited for long."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec

ASKED_EVERY_S = 5.0
ANSWER_S_MAX = 2.0
ANSWER_BYTES_MAX = 1 << 20
SHOWN_MAX = 50
"""SLOs, and alerts of each, that are passed on."""


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _tables(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)][:SHOWN_MAX] if isinstance(value, list) else []


def slos_of(answer: object) -> list[dict[str, Any]]:
    """The answer of `/api/slo` with what the page shows and no more; what is missing or of another type is null.

    Raises ValueError for an answer without a list of SLOs.
    """
    if not isinstance(answer, Mapping) or not isinstance(answer.get("slos"), list):
        raise ValueError("expected an object with a list `slos`")
    found = []
    for slo in _tables(answer["slos"]):
        burn = slo.get("burn")
        found.append(
            {
                "slo": str(slo.get("slo", slo.get("name", "?"))),
                "objective": _number(slo.get("objective")),
                "budget_left": _number(slo.get("budget_left")),
                "burn": {str(span): _number(rate) for span, rate in burn.items()} if isinstance(burn, dict) else {},
                "alerts": [
                    {name: str(alert.get(name, "")) for name in ("severity", "state", "summary")}
                    for alert in _tables(slo.get("alerts"))
                ],
            }
        )
    return found


class SloSource:
    """Asks the SLO app at `url`, at most every ASKED_EVERY_S and only when somebody looks. For one event loop."""

    def __init__(self, url: str, token: str = "") -> None:
        self._url = url.rstrip("/") + "/api/slo"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._asking: asyncio.Task[None] | None = None
        self._asked_s = -ASKED_EVERY_S
        self._told: dict[str, Any] = {"state": "asking", "slos": []}

    def told(self) -> dict[str, Any]:
        """What it last answered, `state` being `asking`, `told` or `unreachable`; asks again if it is time."""
        now_s = time.monotonic()
        if now_s - self._asked_s >= ASKED_EVERY_S and (self._asking is None or self._asking.done()):
            self._asked_s = now_s
            self._asking = asyncio.get_running_loop().create_task(self.ask())
        return self._told

    async def ask(self) -> None:
        """Ask now. An error is what is told; the last answer stays beside it."""
        try:
            self._told = {"state": "told", "slos": slos_of(await self._answer())}
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            why = str(error) or type(error).__name__
            self._told = {"state": "unreachable", "why": f"{self._url}: {why}", "slos": self._told["slos"]}

    async def _answer(self) -> object:
        limit = aiohttp.ClientTimeout(total=ANSWER_S_MAX)
        async with (
            aiohttp.ClientSession(timeout=limit, headers=self._headers) as session,
            session.get(self._url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise ValueError(f"it answered {response.status}, expected 200")
            body = await response.content.read(ANSWER_BYTES_MAX)
            while (more := await response.content.read(ANSWER_BYTES_MAX)) and len(body) <= ANSWER_BYTES_MAX:
                body += more
        answer: object = msgspec.json.decode(body)
        return answer
