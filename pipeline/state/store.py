"""Where checkpoints lie: a folder, or any URL that fsspec opens. One folder a slice, manifests beside data files."""

import contextlib
import os
import time
import zlib
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import HeadraceError
from pipeline.state.manifest import DamagedError, Manifest, PieceEntry, decode, encode

MANIFEST, DATA = ".manifest", ".data"
ABANDONED_MS = 3_600_000
"""A data file that nobody names and that is older than this is no other process's unfinished work."""


class StoreError(HeadraceError):
    """The place for checkpoints cannot be used: where it is, and why."""

    def __init__(self, url: str, error: Exception) -> None:
        super().__init__(f"{url!r} cannot hold checkpoints: {error}")


class CheckpointStore:
    """The checkpoints of one pipeline and group, of all slices.

    A manifest is written after all that it names, under a name of its own, so a checkpoint is there whole or not at
    all. Raises StoreError when the place cannot be opened.
    """

    def __init__(self, url: str, pipeline: str, group: str, instance: str) -> None:
        import fsspec

        try:
            self._fs, root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise StoreError(url, error) from None
        self._root = "/".join((root.rstrip("/"), pipeline, group))
        self._instance = "".join(c if c.isalnum() or c in "-." else "_" for c in instance)
        self._local = isinstance(self._fs.protocol, tuple) and "file" in self._fs.protocol
        try:
            self._fs.makedirs(self._root, exist_ok=True)
        except OSError as error:
            raise StoreError(url, error) from None

    def names(self, slice_name: str) -> list[str]:
        """The manifests of a slice, newest first."""
        return sorted((n for n in self._files(slice_name) if n.endswith(MANIFEST)), reverse=True)

    def _files(self, slice_name: str) -> list[str]:
        folder = f"{self._root}/{slice_name}"
        self._fs.invalidate_cache(folder)
        try:
            return [path.rpartition("/")[2] for path in self._fs.ls(folder, detail=False)]
        except FileNotFoundError:
            return []

    def manifest(self, slice_name: str, name: str) -> Manifest:
        """Read one. Raises DamagedError naming it."""
        try:
            return decode(f"{slice_name}/{name}", self._fs.cat_file(f"{self._root}/{slice_name}/{name}"))
        except OSError as error:
            raise DamagedError(f"{slice_name}/{name}", f"cannot be read: {error}") from None

    def pieces(
        self, slice_name: str, name: str, entries: list[PieceEntry]
    ) -> Iterator[tuple[PieceEntry, NDArray[np.int64], NDArray[np.uint8]]]:
        """The pieces in the order given, words and text checked. Raises DamagedError naming checkpoint and file."""
        opened: dict[str, IO[bytes]] = {}
        try:
            for entry in entries:
                if entry.file not in opened:
                    opened[entry.file] = self._fs.open(f"{self._root}/{slice_name}/{entry.file}", "rb")
                words, text = np.empty(entry.words, np.int64), np.empty(entry.text_bytes, np.uint8)
                if why := _read(opened[entry.file], entry, words, text):
                    raise DamagedError(f"{slice_name}/{name}", f"{entry.file} is damaged at {entry.at}: found {why}")
                yield entry, words, text
        except OSError as error:
            raise DamagedError(f"{slice_name}/{name}", f"its data cannot be read: {error}") from None
        finally:
            for file in opened.values():
                file.close()

    def new_name(self) -> str:
        """A name that no other checkpoint of any process has; later ones sort behind earlier ones."""
        return f"{time.time_ns() // 1000:016d}-{self._instance}"

    def create(self, slice_name: str, name: str) -> IO[bytes]:
        """A new data file."""
        self._fs.makedirs(f"{self._root}/{slice_name}", exist_ok=True)
        file: IO[bytes] = self._fs.open(f"{self._root}/{slice_name}/{name}{DATA}", "wb")
        return file

    def finish(self, file: Any) -> None:
        """Close a data file; on a local disk it is there after a power cut, too."""
        if self._local:
            file.flush()
            os.fsync(file.fileno())
        file.close()

    def publish(self, slice_name: str, name: str, manifest: Manifest, keep: int, needed: set[str]) -> None:
        """Write the manifest; then delete all but the last `keep` and what none of these and not `needed` names."""
        self._fs.makedirs(f"{self._root}/{slice_name}", exist_ok=True)  # of no keys there is no data file
        target = f"{self._root}/{slice_name}/{name}{MANIFEST}"
        if self._local:
            with self._fs.open(f"{target}.part", "wb") as file:
                file.write(encode(manifest))
                file.flush()
                os.fsync(file.fileno())
            self._fs.mv(f"{target}.part", target)
        else:
            self._fs.pipe_file(target, encode(manifest))
        self._collect(slice_name, keep, needed)

    def _collect(self, slice_name: str, keep: int, needed: set[str]) -> None:
        names, kept = self.names(slice_name), set(needed)
        for name in names[:keep]:
            try:
                kept |= {piece.file for piece in self.manifest(slice_name, name).pieces}
            except DamagedError:
                continue
        doomed = names[keep:]
        for file in self._files(slice_name):
            if not file.endswith(DATA) or file in kept:
                continue
            age_ms = time.time_ns() // 1_000_000 - int(file.partition("-")[0]) // 1000
            if file.endswith(f"-{self._instance}{DATA}") or age_ms > ABANDONED_MS:
                doomed.append(file)
        for file in doomed:
            self._remove(slice_name, file)

    def _remove(self, slice_name: str, file: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(f"{self._root}/{slice_name}/{file}")

    def discard(self, slice_name: str, name: str) -> None:
        """Delete a data file that no manifest will name."""
        self._remove(slice_name, f"{name}{DATA}")


def _read(file: Any, entry: PieceEntry, words: NDArray[np.int64], text: NDArray[np.uint8]) -> str:
    """Fill both from the file; returns what is wrong with what was found, "" when nothing is."""
    file.seek(entry.at)
    crc32 = 0
    for view in (words.data.cast("B"), text.data):
        if len(view) and (found := file.readinto(view)) < len(view):
            return f"{found} of {len(view)} bytes"
        crc32 = zlib.crc32(view, crc32)
    return "" if crc32 == entry.crc32 else "another checksum"
