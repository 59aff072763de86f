"""The energy counter of a GPU, by NVIDIA's management library (extra `cuda`), where there is one."""

import os
from typing import Any

UJ_PER_MJ = 1_000


class NoCounterError(Exception):
    """There is no such counter; the text says why."""


class Nvml:
    """The device that sessions run on: the first that CUDA shows. Raises NoCounterError where it cannot be read.

    The counter is `nvmlDeviceGetTotalEnergyConsumption`: mJ since the driver was loaded, from Volta on.
    """

    def __init__(self) -> None:
        try:
            import pynvml
        except ModuleNotFoundError:
            raise NoCounterError("nvidia-ml-py is not installed: pip install 'headrace[cuda]'") from None
        self._nvml: Any = pynvml
        try:
            pynvml.nvmlInit()
            self._device = _first(pynvml, os.environ.get("CUDA_VISIBLE_DEVICES", ""))
            self._last_mj = pynvml.nvmlDeviceGetTotalEnergyConsumption(self._device)
        except pynvml.NVMLError as error:
            raise NoCounterError(str(error)) from None

    def take_uj(self) -> float | None:
        """What the device took since this was last asked; None when it cannot be told."""
        try:
            now_mj = self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._device)
        except self._nvml.NVMLError:
            return None
        taken, self._last_mj = now_mj - self._last_mj, now_mj
        return float(taken * UJ_PER_MJ) if taken >= 0 else None


def _first(nvml: Any, visible: str) -> Any:
    """The handle of the first device that `CUDA_VISIBLE_DEVICES` names, by number or by UUID."""
    name = visible.partition(",")[0].strip()
    if name.startswith(("GPU-", "MIG-")):
        return nvml.nvmlDeviceGetHandleByUUID(name)
    return nvml.nvmlDeviceGetHandleByIndex(int(name) if name.isdigit() else 0)
