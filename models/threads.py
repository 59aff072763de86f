"""How many threads a model may use: what this process is given, not what the machine has."""

import os
from pathlib import Path

_CGROUP_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def usable_cpus(cpu_max: Path = _CGROUP_CPU_MAX) -> int:
    """Processors that this process may use at once, by affinity and by its cgroup's quota; at least 1."""
    affine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = cpu_max.read_text(encoding="ascii").split()
        return affine if quota == "max" else max(1, min(affine, int(quota) // int(period)))
    except (OSError, ValueError):
        return affine
