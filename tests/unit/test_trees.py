"""Files beside a model are what the manifest says, and trees that cannot be used are refused by name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import explain
from models.explain import Explainer
from models.manifest import ModelError, read_manifest
from models.repository import Repository
from models.trees import LEAF, TREES_FILE, Trees, read_trees

FEATURES = 15


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(Repository.shipped().folder / "fraud-lite", tmp_path / "fraud-lite")
    return tmp_path / "fraud-lite" / "1"


def test_trees_read_back_as_they_were_written(folder: Path) -> None:
    trees = read_trees(folder / TREES_FILE, FEATURES)
    assert trees.encode() == (folder / TREES_FILE).read_bytes()
    assert len(trees.roots) == 10
    inner = trees.feature != LEAF
    below = trees.cover[trees.left[inner]] + trees.cover[trees.right[inner]]
    assert trees.cover[inner].tolist() == below.tolist()


@pytest.mark.parametrize("name", ["trees.json", "reference.json"])
def test_a_file_beside_the_model_is_the_manifests_or_an_error(folder: Path, name: str) -> None:
    repository = Repository(folder.parents[1])
    assert repository.load("fraud-lite", "1").beside(name) == folder / name
    assert repository.load("fraud-lite", "1").beside("notes.txt") is None
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    with pytest.raises(ModelError, match=rf"{name}: sha256 is .*, the manifest says"):
        repository.load("fraud-lite", "1")
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"{name}: a file of the model is missing"):
        repository.load("fraud-lite", "1")


def test_a_manifest_names_files_beside_it_and_no_others(folder: Path) -> None:
    path = folder / "manifest.toml"
    path.write_text(path.read_text().replace('"trees.json"', '"../trees.json"'))
    with pytest.raises(ModelError, match=r"manifest.toml: files\.\.\./trees.json"):
        read_manifest(path)


def changed(key: str, place: int, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda file: file[key].__setitem__(place, value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda file: file.update(v=2), "version 2, expected 1"),
        (lambda file: file.update(w=2), "unknown field `w`"),
        (lambda file: file.pop("left"), "missing required field `left`"),
        (lambda file: file["left"].pop(), "108, 107, 108, 108, 108 of the other arrays"),
        (changed("roots", 0, 999), "a root outside its 108 nodes"),
        (changed("feature", 0, FEATURES), "node 0: feature 15, the model has 15"),
        (changed("left", 2, 2), "node 2: children 2 and"),
        (changed("cover", 3, 0), "node 3: value .* and cover 0.0, expected a cover above 0"),
    ],
)
def test_trees_that_are_none_are_refused(folder: Path, change: Callable[[dict[str, Any]], None], told: str) -> None:
    path = folder / TREES_FILE
    file = json.loads(path.read_text())
    change(file)
    path.write_text(json.dumps(file))
    with pytest.raises(ModelError, match=rf"trees.json: .*{told}"):
        read_trees(path, FEATURES)


def test_trees_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there are no trees"):
        read_trees(tmp_path / TREES_FILE, FEATURES)


def chain(features: int) -> Trees:
    """One tree that looks at each feature once, one after the other."""
    nodes = 2 * features + 1
    inner = np.arange(nodes) % 2 == 0
    inner[-1] = False
    feature = np.where(inner, np.arange(nodes) // 2, LEAF).astype(np.int32)
    at = np.arange(nodes, dtype=np.int32)
    cover = 1.0 + features - np.where(inner, np.arange(nodes) // 2, features)
    zeros = np.zeros(nodes)
    return Trees(np.zeros(1, np.int32), feature, zeros.astype(np.float32), at + 1, at + 2, zeros, cover)


def test_trees_too_deep_or_too_many_to_explain_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Explainer(chain(12)).table_bytes == 8 * (sum(d << d for d in range(1, 13)) + (12 << 12))
    with pytest.raises(ModelError, match=r"deep\.json: a leaf lies behind 13 features, .* at most 12"):
        Explainer(chain(13), "deep.json")
    monkeypatch.setattr(explain, "TABLE_BYTES_MAX", 1 << 20)
    with pytest.raises(ModelError, match=r"many\.json: reasons would take tables of more than 1 MiB"):
        Explainer(chain(12), "many.json")
