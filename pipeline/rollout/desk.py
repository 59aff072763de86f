"""What a person asks of rollouts: read what is in force, write what follows, wait until it is written."""

import getpass
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from models.manifest import ModelError
from models.repository import Repository
from pipeline.config.model import PipelineConfig
from pipeline.errors import HeadraceError
from pipeline.rollout.build import config_sha256, configured_record
from pipeline.rollout.control_topic import TopicReader, deliver
from pipeline.rollout.course import Course, RolloutRefusedError
from pipeline.wire.audit import AuditRecord, decode_audit
from pipeline.wire.rollout import ModelRef, RolloutRecord, decode_rollout, key_of

Step = Callable[[RolloutRecord], RolloutRecord]


class RolloutError(HeadraceError):
    """What was asked for cannot be done, and why."""


def in_force(config: PipelineConfig) -> dict[str, RolloutRecord]:
    """What is in force, by the name of each tier that a model answers in. Raises KafkaError, RolloutError."""
    courses = {
        key_of(config.pipeline.name, spec.name): Course(configured_record(config, number))
        for number, spec in enumerate(config.tiers)
        if spec.model
    }
    for entry in _entries(config, config.topics.rollouts):
        course = courses.get((entry[0] or b"").decode(errors="replace"))
        try:
            if course is not None:
                course.take(None if entry[1] is None else decode_rollout(entry[1]))
        except ValueError:
            continue  # every process passes it over, and says so
    return {course.now.tier: course.now for course in courses.values()}


def books(config: PipelineConfig) -> list[AuditRecord]:
    """The audit topic's records of this pipeline by their time; what is none is passed over. Raises KafkaError."""
    found = []
    for _, value in _entries(config, config.topics.audit):
        try:
            found.append(decode_audit(value or b""))
        except ValueError:
            continue
    return sorted((each for each in found if each.pipeline == config.pipeline.name), key=lambda each: each.at_ms)


def _entries(config: PipelineConfig, topic: str) -> list[tuple[bytes | None, bytes | None]]:
    if not config.rollout.enabled:
        raise RolloutError(
            "rollout.enabled is false: no process follows rollouts; expected true in the configuration"
        )
    reader = TopicReader(config.kafka.consumer_settings(), topic, config.engine.request_ms_max)
    try:
        return [(entry.key, entry.value) for entry in reader.read_to_end(config.engine.request_ms_max)]
    finally:
        reader.close()


def ask(config: PipelineConfig, tier: str, step: Step, *, by: str = "", reason: str = "") -> RolloutRecord:
    """Write what follows by `step` from what is in force for the tier, and wait until all copies have it.

    Raises RolloutError when it does not follow or there is no such tier, KafkaError when it cannot be written.
    """
    found = in_force(config)
    if tier not in found:
        raise RolloutError(f"tier {tier!r} is none of those that a model answers in: {', '.join(found)}")
    try:
        record = step(found[tier])
    except RolloutRefusedError as error:
        raise RolloutError(str(error)) from None
    signed = replace(
        record,
        by=by or who(),
        reason=reason or record.reason,
        at_ms=time.time_ns() // 1_000_000,
        config_sha256=config_sha256(config),
    )
    settings = config.kafka.plain_producer_settings()
    deliver(settings, config.topics.rollouts, signed.key, signed.encode())
    return signed


def named(config: PipelineConfig, model: str, version: str, *, here: bool = True) -> ModelRef:
    """The version, with the hash of its file: every process then answers by that very file. Raises RolloutError.

    Not `here`: the models are not on this machine, and each process takes the file that it has.
    """
    if not here:
        return ModelRef(model, version)
    folder = config.models.folder
    repository = Repository(Path(folder)) if folder else Repository.shipped()
    try:
        return ModelRef(model, version, repository.load(model, version).manifest.sha256)
    except ModelError as error:
        raise RolloutError(str(error)) from None


def who() -> str:
    """The person, as far as the machine knows."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # a container may know no user
        return socket.gethostname()


def new_name() -> str:
    """A name for a rollout that no other has."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"
