"""Where checkpoints lie: whole or not at all, the last ones kept, damage named; in folders and object stores."""

import uuid
import zlib
from pathlib import Path

import numpy as np
import pytest

from pipeline.state import store as stores
from pipeline.state.manifest import DamagedError, Manifest, PieceEntry
from pipeline.state.store import CheckpointStore, StoreError


@pytest.fixture(params=["folder", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "state") if request.param == "folder" else f"memory://{uuid.uuid4().hex}"


def written(store: CheckpointStore, keep: int = 2, kept: list[PieceEntry] | None = None) -> tuple[str, PieceEntry]:
    """Publish a checkpoint of one piece of its own beside those kept; its name and the new piece."""
    name, words = store.new_name(), np.arange(5, dtype=np.int64)
    file = store.create("events-0", name)
    file.write(words.tobytes() + b"abc")
    store.finish(file)
    checksum = zlib.crc32(words.tobytes() + b"abc")
    entry = PieceEntry("customer", 0, 1, 5, 3, f"{name}.data", 0, checksum, 0)
    pieces = [*(kept or []), entry]
    manifest = Manifest("events-0", [{"events/0": 5}], {}, pieces, {piece.file: 43 for piece in pieces})
    store.publish("events-0", name, manifest, keep, {piece.file for piece in pieces})
    return f"{name}.manifest", entry


def opened(url: str, instance: str = "host-1") -> CheckpointStore:
    return CheckpointStore(url, "fraud", "group", instance)


def test_what_was_written_is_read_by_another_process(url: str) -> None:
    name, entry = written(opened(url))
    store = opened(url, "host-2")
    assert store.names("events-0") == [name]
    manifest = store.manifest("events-0", name)
    ((found, words, text),) = store.pieces("events-0", name, manifest.pieces)
    assert found == entry
    assert words.tolist() == [0, 1, 2, 3, 4]
    assert bytes(text) == b"abc"
    words[0] = text[0] = 1  # kernels want memory of the process's own
    assert store.names("events-1") == []


def test_a_slice_without_keys_has_a_checkpoint_too(url: str) -> None:
    store = opened(url)
    store.publish("events-0", "1-a", Manifest("events-0", [{"events/0": 0}], {}, [], {}), 2, set())
    assert store.manifest("events-0", "1-a.manifest").pieces == []


def test_the_last_ones_are_kept_with_the_files_they_name(url: str) -> None:
    store = opened(url)
    _, shared = written(store)
    names = [written(store, kept=[shared])[0] for _ in range(3)]
    assert store.names("events-0") == [names[2], names[1]]
    for name in store.names("events-0"):
        assert len(list(store.pieces("events-0", name, store.manifest("events-0", name).pieces))) == 2
    assert len([file for file in store._files("events-0") if file.endswith(".data")]) == 3


def test_files_of_another_process_that_no_manifest_names_yet_are_left_alone(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, name = opened(url, "host-2"), opened(url, "host-2").new_name()
    other.finish(other.create("events-0", name))
    store = opened(url)
    written(store)
    assert f"{name}.data" in store._files("events-0")
    monkeypatch.setattr(stores, "ABANDONED_MS", -1)
    written(store)
    assert f"{name}.data" not in store._files("events-0")


def test_a_damaged_piece_is_named(url: str) -> None:
    store = opened(url)
    name, entry = written(store)
    for damaged in (
        PieceEntry(*[*entry_fields(entry)[:6], 1, entry.crc32, 0]),
        PieceEntry(*[*entry_fields(entry)[:7], 7, 0]),
    ):
        with pytest.raises(DamagedError, match=f"checkpoint events-0/{name}: {entry.file} is damaged at"):
            list(store.pieces("events-0", name, [damaged]))
    store._fs.rm_file(f"{store._root}/events-0/{entry.file}")
    with pytest.raises(DamagedError, match="cannot be read"):
        list(store.pieces("events-0", name, [entry]))


def entry_fields(entry: PieceEntry) -> list[object]:
    return [getattr(entry, name) for name in entry.__struct_fields__]


def test_an_unknown_kind_of_place_is_named() -> None:
    with pytest.raises(StoreError, match=r"'nowhere://x' cannot hold checkpoints: .*nowhere"):
        opened("nowhere://x")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"file/state' cannot hold checkpoints"):
        opened(str(tmp_path / "file" / "state"))


def test_a_place_that_is_none_is_a_mistake_in_the_configuration() -> None:
    from pipeline.cli.checks import check_checkpoints
    from pipeline.config.load import load
    from pipeline.config.problems import ConfigError

    config = load("fraud", environ={}, assignments=["checkpoint.url=nowhere://x"]).config
    with pytest.raises(ConfigError, match=r"checkpoint\.url: 'nowhere://x' cannot hold checkpoints"):
        check_checkpoints(config)
    assert "rebuilt" in check_checkpoints(load("fraud", environ={}, assignments=[]).config)
