"""What a look found: good, worth a thought, or in the way; and what to mend."""

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How good it is. A warning lets a pipeline run; a failure does not, or not as promised."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it is, what was found, and what to do where it is not good."""

    check: str
    grade: Grade
    says: str
    mend: str = ""


def ok(check: str, says: str) -> Finding:
    """Nothing to do."""
    return Finding(check, Grade.OK, says)


def warn(check: str, says: str, mend: str) -> Finding:
    """It runs, but."""
    return Finding(check, Grade.WARN, says, mend)


def fail(check: str, says: str, mend: str) -> Finding:
    """It does not run, or not as promised."""
    return Finding(check, Grade.FAIL, says, mend)
