"""What this machine has: models and providers, folders, memory, processors, a port."""

import json
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from models.manifest import ModelError
from models.repository import Repository
from models.threads import usable_cpus
from pipeline.config.model import PipelineConfig
from pipeline.doctor.finding import Finding, fail, ok, warn
from pipeline.telemetry.http_server import PORTS, PortTakenError, listening

CGROUP_MEMORY_MAX = Path("/sys/fs/cgroup/memory.max")
OWN_BYTES = 1 << 30
"""What a process takes beside its windows: interpreter, compiled kernels, clients' buffers, sessions."""
FREE_BYTES_MIN = 1 << 30
ASK_S_MAX = 2.0


def models(config: PipelineConfig) -> Iterator[Finding]:
    """Of each tier's model whether it is there and its file is the one that its manifest is about."""
    folder = config.models.folder
    repository = Repository(Path(folder)) if folder else Repository.shipped()
    for tier in config.tiers:
        if not tier.model:
            continue
        check = f"model {tier.model}/{tier.version}"
        try:
            entry = repository.load(tier.model, tier.version)
        except (ModelError, OSError) as error:
            yield fail(check, str(error), "copy the model with its manifest anew, or name another in [[tiers]]")
            continue
        yield ok(check, f"sha256 {entry.manifest.sha256[:12]} as its manifest says")


def sessions(config: PipelineConfig) -> Iterator[Finding]:
    """Whether every model loads, takes these features, and runs on the provider that is asked for. Takes seconds."""
    from pipeline.cli.checks import check_models

    try:
        yield ok("sessions", check_models(config))
    except (ValueError, OSError) as error:
        yield fail("sessions", str(error), "mend what it names: inputs, provider, file")


def kernels(folder: Path) -> Iterator[Finding]:
    """Whether compiled kernels can be kept, and are."""
    if not _writable(folder):
        mend = "set NUMBA_CACHE_DIR to a folder that can be written, or compile when the image is built"
        yield warn("kernel cache", f"{folder} cannot be written: each start compiles for a minute", mend)
    elif not folder.is_dir() or not any(folder.iterdir()):
        mend = "run `headrace config check` once, in an image when it is built"
        yield warn("kernel cache", f"{folder} is empty: the first start compiles for a minute", mend)
    else:
        yield ok("kernel cache", f"{folder} is filled")


def checkpoints(config: PipelineConfig) -> Iterator[Finding]:
    """Whether a checkpoint can be written where it is to be."""
    from pipeline.state.store import CheckpointStore, StoreError

    url = config.checkpoint.url
    if not url:
        if config.catalog.entities:
            mend = "set checkpoint.url, unless what is to be read again is little"
            yield warn("checkpoints", "none: each start reads the topics again for its windows", mend)
        return
    try:
        store = CheckpointStore(url, config.pipeline.name, config.kafka.common["group.id"], "doctor")
        name = store.new_name()
        with store.create("doctor", name) as file:
            file.write(b"looked at")
        store.discard("doctor", name)
    except (StoreError, OSError) as error:
        yield fail("checkpoints", f"{url}: {error}", "give the process the right to write there, and room")
        return
    if "://" not in url and (free_bytes := shutil.disk_usage(url).free) < FREE_BYTES_MIN:
        yield warn("checkpoints", f"{url}: {free_bytes >> 20} MiB are free", "make room: windows may take more")
    else:
        yield ok("checkpoints", f"{url} can be written")


def memory(config: PipelineConfig, limit_file: Path = CGROUP_MEMORY_MAX) -> Iterator[Finding]:
    """Whether the bound on windows is one that is reached before the machine's or the container's."""
    limit_bytes, whose = _memory_limit(limit_file)
    bound_bytes = config.engine.memory_bytes_max
    says = f"windows may take {_gib(bound_bytes)}, {whose} has {_gib(limit_bytes)}"
    if bound_bytes + OWN_BYTES > limit_bytes:
        room_bytes = max(1 << 28, limit_bytes - OWN_BYTES)
        mend = f"engine.memory_bytes_max = {room_bytes} says so in time; else the process is killed without a word"
        yield warn("memory", says, mend)
    else:
        yield ok("memory", says)


def processors(config: PipelineConfig, cpus: int | None = None) -> Iterator[Finding]:
    """Whether sessions and loop have a processor each."""
    cpus = usable_cpus() if cpus is None else cpus
    engine = config.engine
    needed = 1 if engine.session == "inline" else 1 + engine.sessions
    says = f"{cpus} usable, {needed} wanted: the loop" + ("" if needed == 1 else f" and {engine.sessions} sessions")
    if needed > cpus:
        yield warn("processors", says, 'fewer engine.sessions, engine.session = "inline", or a larger CPU limit')
    else:
        yield ok("processors", says)


def http_port(config: PipelineConfig) -> Iterator[Finding]:
    """Whether a process could listen where it is to; one that listens already may be this pipeline's own."""
    http = config.http
    if not http.enabled:
        yield warn("http port", "http.enabled is false: nobody can ask how it is", "leave it on")
        return
    try:
        found = listening(http)
    except PortTakenError as error:
        if (phase := _phase_at(http.host, http.port or 0)) is not None:
            yield ok("http port", f"{http.host}:{http.port} is a headrace process's, which is {phase}")
        else:
            yield fail("http port", str(error), "end who has it, or choose another http.port")
        return
    if found is None:
        says = f"none from {PORTS[0]} to {PORTS[-1]} is free on {http.host}"
        yield warn("http port", says, "the process would run untold: end who has them, or set http.port")
        return
    with found:
        yield ok("http port", f"{http.host}:{found.getsockname()[1]} is free")


def _phase_at(host: str, port: int) -> str | None:
    """What a headrace process on that port says of itself; None where there is another, or none."""
    asked = "127.0.0.1" if host in ("0.0.0.0", "") else host
    try:
        with urllib.request.urlopen(f"http://{asked}:{port}/readyz", timeout=ASK_S_MAX) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:
        body = error.read()
    except (OSError, ValueError):
        return None
    try:
        return str(json.loads(body)["phase"])
    except (ValueError, KeyError, TypeError):
        return None


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _memory_limit(limit_file: Path) -> tuple[int, str]:
    machine_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = limit_file.read_text(encoding="ascii").strip()
        if limit != "max" and int(limit) < machine_bytes:
            return int(limit), "the container"
    except (OSError, ValueError):
        pass
    return machine_bytes, "the machine"


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 30):.1f} GiB"
