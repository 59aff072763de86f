"""The process's own name."""

import os
import socket


def instance_name() -> str:
    """What tells this process from others of its pipeline."""
    return f"{socket.gethostname()}-{os.getpid()}"
