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


def slos_of(answer: object, pipeline: str) -> list[dict[str, Any]]:
    """The SLOs of a pipeline in the answer of `/api/slo`, with what the page shows and no more.

    What is missing or of another type is null. An SLO or alert that names no pipeline is everybody's. Alerts stand
    with their SLO; those of none, such as an instance that is silent, are told as SLOs without a budget. Raises
    ValueError for an answer without a list of SLOs.
    """
    if not isinstance(answer, Mapping) or not isinstance(answer.get("slos"), list):
        raise ValueError("expected an object with a list `slos`")
    found: dict[str, dict[str, Any]] = {}
    for slo in _of_pipeline(answer["slos"], pipeline):
        name = str(slo.get("name", slo.get("slo", "?")))
        burns = slo.get("burns", slo.get("burn"))
        found[name] = {
            "slo": name,
            "objective": _number(slo.get("objective")),
            "budget_left": _number(slo.get("budget_left")),
            "burn": {str(span): _number(rate) for span, rate in burns.items()} if isinstance(burns, dict) else {},
            "alerts": [_alert(alert) for alert in _tables(slo.get("alerts"))],
        }
    for alert in _of_pipeline(answer.get("alerts"), pipeline):
        name = str(alert.get("slo", "?"))
        about = found.setdefault(
            name, {"slo": name, "objective": None, "budget_left": None, "burn": {}, "alerts": []}
        )
        about["alerts"].append(_alert(alert))
    return list(found.values())[:SHOWN_MAX]


def _of_pipeline(value: object, pipeline: str) -> list[dict[str, Any]]:
    return [each for each in _tables(value) if each.get("pipeline", pipeline) == pipeline]


def _alert(alert: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(alert.get(name, "")) for name in ("severity", "state", "summary")}


class SloSource:
    """Asks the SLO app at `url` about a pipeline, at most every ASKED_EVERY_S and only when somebody looks.

    For one event loop.
    """

    def __init__(self, url: str, pipeline: str, token: str = "") -> None:
        self._pipeline = pipeline
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
            self._told = {"state": "told", "slos": slos_of(await self._answer(), self._pipeline)}
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
