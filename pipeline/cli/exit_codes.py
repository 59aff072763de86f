"""What a shell script or a container learns from the process's exit code."""

from enum import IntEnum

INTERRUPTED = 130
"""A second signal: ended at once, without draining."""


class ExitCode(IntEnum):
    """The codes, as documented in `headrace --help` and the README."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    UNDELIVERED = 4


EPILOG = """\b
Exit codes:
  0    done, or drained: every outcome delivered, every offset committed
  1    failed while running
  2    the command line, the configuration, a model or a file is not usable
  3    no broker could be reached
  4    stopped in time, but some outcomes were not delivered: they are repeated at the next start
  130  a second signal ended it at once

SIGTERM and SIGINT drain: nothing more is read, what is in flight is published and committed, the group is
left, within `engine.drain_ms_max` and a few seconds for the broker's answers."""

_UNREACHABLE_NAMES = frozenset({"_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE", "_TIMED_OUT"})


def exit_code_of(error: BaseException) -> ExitCode:
    """The code for an error that ended a command."""
    from models.manifest import ModelError
    from pipeline.config.problems import ConfigError
    from pipeline.errors import UnusableFileError
    from pipeline.kafka.librdkafka import KafkaConfigError, KafkaError

    if isinstance(error, ConfigError | KafkaConfigError | ModelError | UnusableFileError):
        return ExitCode.USAGE
    if isinstance(error, KafkaError) and error.name in _UNREACHABLE_NAMES:
        return ExitCode.UNREACHABLE
    return ExitCode.FAILED


def message_of(error: BaseException) -> str:
    """One or more lines for the operator. An error that nobody foresaw says its type."""
    from pipeline.errors import HeadraceError
    from pipeline.kafka.librdkafka import KafkaError

    text = str(error) or type(error).__name__
    foreseen = isinstance(error, HeadraceError | KafkaError | OSError | ValueError)
    return text if foreseen else f"{type(error).__name__}: {text}"
