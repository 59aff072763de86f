"""The table about what decisions cost."""

from typing import Annotated

from pydantic import Field, StrictFloat, StrictInt, StrictStr

from pipeline.config.sections import Section

Price = Annotated[StrictFloat, Field(ge=0.0, allow_inf_nan=False)]


class CostSection(Section):
    """`[cost]`: who pays for what, at which prices. See docs/cost.md."""

    tenant: StrictStr = ""
    """The field of the deciding input that says whom an event is decided for: an int, bool, string or id. Unset: the
    bill is not parted by tenants."""
    tenants_max: Annotated[StrictInt, Field(ge=1, le=1000)] = 32
    """How many tenants have a line of their own, the first that come; the rest share `(other)`."""
    currency: Annotated[StrictStr, Field(pattern=r"^[A-Z]{3}$")] = "EUR"
    """What prices are in."""
    cpu_hour: Price = 0.0
    """The price of a CPU's hour, by the CPU time that is used. Without prices there is no money in the bill."""
    gpu_hour: Price = 0.0
    """The price of a GPU's hour, by the time that sessions run on it."""
    kwh: Price = 0.0
    """The price of a kilowatt-hour; 0 where it is in the prices above."""
    watts_a_core: Price = 3.5
    """Where no counter of energy can be read: what a busy logical CPU is taken to draw. 3.5 is Cloud Carbon
    Footprint's figure for a vCPU of AWS at full load."""
    watts_a_gpu: Price = 300.0
    """The same for a GPU that a session runs on."""
    detected: tuple[StrictStr, ...] = ()
    """The decisions that are found cases, e.g. `["decline"]`: the bill says what one of them costs."""
    budget_a_day: Price = 0.0
    """What all processes together may cost in a day; 0: no budget. At the rate of the last hour, an alert."""
    budget_per_million: Price = 0.0
    """What a million decisions may cost; 0: no budget. Over the last hour, an alert."""
