"""Become another program that ends when the thread that started it ends, however that ends.

Run as a file: `python -I with_parent.py PID PROGRAM ARGUMENT...`, PID being the starter's. The system kills the
program when its parent is gone (Linux; elsewhere it just runs). It is asked for here, after the fork and in a program
of one thread, since code between fork and exec may hang where the parent has threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Never returns."""
    starter, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != starter:
        sys.exit(1)  # it was gone before the system was asked
    os.execvp(program[0], program)


if __name__ == "__main__":
    main()
