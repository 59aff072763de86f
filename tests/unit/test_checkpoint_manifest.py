"""A manifest is what was written, or an error that names it."""

import msgspec
import numpy as np
import pytest

from pipeline.state import manifest as manifests
from pipeline.state.manifest import DamagedError, Manifest, PieceEntry, decode, encode

PIECES = [
    PieceEntry("customer", 0, 10, 400, 0, "a.data", 0, 1, 0),
    PieceEntry("customer", 10, 4, 100, 7, "b.data", 0, 2, 1),
    PieceEntry("terminal", 0, 3, 100, 7, "b.data", 807, 3, 1),
]
CUTS = [{"events/0": 5, "labels/0": 9}, {"events/0": 8, "events/2": 4, "labels/0": 9}]
MANIFEST = Manifest("global", CUTS, {"customer": {"keep_ms": 5}}, PIECES, {"a.data": 3200, "b.data": 1614})


def test_it_comes_back_as_it_was() -> None:
    found = decode("m", encode(MANIFEST))
    assert found == MANIFEST
    assert found.lowest == {"events/0": 5, "labels/0": 9}
    assert found.highest == {"events/0": 8, "events/2": 4, "labels/0": 9}
    assert found.pieces[1].stored.size_bytes == 100 * 8 + 7


def test_what_pieces_have_taken_is_by_partition_of_the_topic_asked_for() -> None:
    taken = MANIFEST.taken("customer", "events")
    assert taken.starts.tolist() == [0, 10, 14]
    assert taken.next_offset.tolist() == [[5, 0, 0], [8, 0, 4]]
    assert MANIFEST.taken("nobody", "events").next_offset.shape == (0, 3)


@pytest.mark.parametrize("at", [0, 25, 40, 200])
def test_a_changed_byte_is_noticed(at: int) -> None:
    content = bytearray(encode(MANIFEST))
    content[at] ^= 1
    with pytest.raises(DamagedError, match=r"checkpoint transactions-3/17\.manifest"):
        decode("transactions-3/17.manifest", bytes(content))


def test_half_a_file_is_noticed() -> None:
    content = encode(MANIFEST)
    for length in range(0, len(content), 7):
        with pytest.raises(DamagedError):
            decode("m", content[:length])


def test_a_newer_format_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "FORMAT", 2)
    content = encode(MANIFEST)
    monkeypatch.undo()
    with pytest.raises(DamagedError, match="checkpoint m: has format 2, this version reads up to 1"):
        decode("m", content)


def test_a_manifest_without_offsets_is_refused() -> None:
    with pytest.raises(DamagedError, match="no offset"):
        decode("m", encode(msgspec.structs.replace(MANIFEST, cuts=[])))


def test_an_unknown_field_is_refused() -> None:
    import zlib

    body = msgspec.json.encode(msgspec.to_builtins(MANIFEST) | {"surprise": 1})
    with pytest.raises(DamagedError, match="surprise"):
        decode("m", b"headrace checkpoint 1 %08x\n%s" % (zlib.crc32(body), body))


def test_taken_is_of_the_kind_that_kernels_take() -> None:
    taken = MANIFEST.taken("terminal", "events")
    assert taken.next_offset.dtype == taken.starts.dtype == np.int64
