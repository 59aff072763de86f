"""The table about what a process tells over HTTP: its metrics, its health, its page."""

import ipaddress
import re
from typing import Annotated

from pydantic import Field, StrictBool, StrictInt, StrictStr, field_validator, model_validator

from pipeline.config.sections import Section


class HttpSection(Section):
    """`[http]`: what a process tells of itself to Prometheus, to an orchestrator and to a browser."""

    enabled: StrictBool = True
    """Whether it tells anything."""
    host: StrictStr = "127.0.0.1"
    """The address to listen on; `0.0.0.0` for all of IPv4."""
    port: Annotated[StrictInt, Field(ge=0, le=65_535)] | None = None
    """Unset: the first free one from 9464 to 9479, told in the log; with none free the process runs without.
    0: any. Any other must be free; `headrace run --workers N` takes it and the N - 1 after it."""
    token: StrictStr = ""
    """What the page and its data ask for, as `Authorization: Bearer` or `?token=`; needed where `host` is not this
    machine alone. `/metrics`, `/healthz` and `/readyz`, which hold no events, never ask."""

    slo_url: StrictStr = ""
    """Where the SLO app answers, e.g. `http://127.0.0.1:9480`: the live page then shows burn rates and alerts."""
    slo_token: StrictStr = ""
    """What the SLO app asks for, where its `[http]` has a token."""

    @field_validator("slo_url")
    @classmethod
    def _address(cls, url: str) -> str:
        if url and not re.fullmatch(r"https?://[^?#\s]+", url):
            raise ValueError(f"found {url!r}, expected an address such as http://127.0.0.1:9480, without a query")
        return url

    @property
    def local(self) -> bool:
        """Whether only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @model_validator(mode="after")
    def _guarded(self) -> "HttpSection":
        if self.enabled and not self.local and not self.token:
            raise ValueError(
                f"token: missing, expected one where host is {self.host!r}: the page shows decisions to whoever "
                "can connect"
            )
        return self
