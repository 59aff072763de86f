"""Models: what is asked for is what runs, or an error that says what was found and what was expected."""

import shutil
from datetime import date
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from models.manifest import ModelError, read_manifest, write_manifest
from models.recurrent_session import open_session
from models.repository import Repository
from models.session import CPU, CUDA, ModelSession
from models.threads import usable_cpus

NAME, VERSION = "fraud-gbt", "1"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    shutil.copytree(Repository.shipped().folder, tmp_path / "models")
    return Repository(tmp_path / "models")


def session_of(repository: Repository, **changes: object) -> ModelSession:
    entry = repository.load(NAME, VERSION)
    asked = {"providers": [CPU], "buckets": [1, 8, 64], "feature_names": entry.manifest.inputs, **changes}
    return ModelSession(entry, **asked)  # type: ignore[arg-type]


def test_the_shipped_models_load_and_warm() -> None:
    repository = Repository.shipped()
    assert ("fraud-gbt", "1") in repository.names()
    for name, version in repository.names():
        entry = repository.load(name, version)
        session = open_session(entry, providers=[CPU], buckets=[1, 8], feature_names=entry.manifest.inputs)
        assert {bucket: len(runs) for bucket, runs in session.warm().items()} == {1: 5, 8: 5}
        assert session.provider == CPU


def test_scores_do_not_depend_on_the_batch(repository: Repository) -> None:
    session = session_of(repository)
    rows = np.random.default_rng(0).uniform(0, 300, (64, 15)).astype(np.float32)
    together, alone = np.zeros(64, np.float32), np.zeros(64, np.float32)
    session.run(rows, together)
    for row in range(64):
        session.run(rows[row : row + 1], alone[row : row + 1])
    assert np.abs(together - alone).max() <= 1e-5
    assert together.std() > 0


def test_a_missing_model_names_those_that_are_there(repository: Repository) -> None:
    with pytest.raises(ModelError, match=r"no model nothing/7; there are fraud-gbt/1, fraud-gru/1, fraud-lite/1"):
        repository.load("nothing", "7")


def test_a_file_that_is_not_the_manifests(repository: Repository) -> None:
    path = repository.folder / NAME / VERSION / "model.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ModelError, match=r"sha256 is .*, the manifest says"):
        repository.load(NAME, VERSION)
    path.unlink()
    with pytest.raises(ModelError, match="the model file is missing"):
        repository.load(NAME, VERSION)


def test_a_truncated_model_is_refused_though_its_hash_fits(repository: Repository) -> None:
    from models.repository import sha256_of

    folder = repository.folder / NAME / VERSION
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes()[:1000])
    manifest = read_manifest(folder / "manifest.toml")
    write_manifest(folder / "manifest.toml", manifest.model_copy(update={"sha256": sha256_of(path)}))
    with pytest.raises(ModelError, match="cannot be loaded"):
        session_of(repository)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (lambda names: names[1:], "it needs amount, which the pipeline does not declare"),
        (lambda names: [*names, "extra"], "the pipeline declares extra, which it does not take"),
        (lambda names: [names[1], names[0], *names[2:]], "column 0 is amount for the model and weekend"),
    ],
)
def test_inputs_that_do_not_match_are_spelled_out(repository: Repository, names: object, message: str) -> None:
    inputs = repository.load(NAME, VERSION).manifest.inputs
    with pytest.raises(ModelError, match=message):
        session_of(repository, feature_names=names(list(inputs)))  # type: ignore[operator]


def test_an_unknown_provider_and_a_gpu_that_is_not_there(repository: Repository) -> None:
    with pytest.raises(ModelError, match="provider NoSuchProvider is not in this ONNX Runtime"):
        session_of(repository, providers=["NoSuchProvider"])
    if CUDA in onnxruntime.get_available_providers() and not Path("/dev/nvidia0").exists():
        with pytest.raises(ModelError):
            session_of(repository, providers=[CUDA])


def test_a_manifest_with_a_mistake_names_file_and_key(tmp_path: Path) -> None:
    path = tmp_path / "manifest.toml"
    path.write_text('name = "x"\n')
    with pytest.raises(ModelError, match=r"manifest\.toml: .*version"):
        read_manifest(path)
    path.write_text("name = ")
    with pytest.raises(ModelError, match="not TOML"):
        read_manifest(path)


def test_a_manifest_reads_back_as_it_was_written(repository: Repository, tmp_path: Path) -> None:
    for name, version in repository.names():
        manifest = repository.load(name, version).manifest
        write_manifest(tmp_path / "manifest.toml", manifest)
        assert read_manifest(tmp_path / "manifest.toml") == manifest
        assert manifest.trained.when >= date(2026, 1, 1)


def test_a_manifest_without_quality_or_thresholds_reads_back_too(repository: Repository, tmp_path: Path) -> None:
    bare = repository.load(NAME, VERSION).manifest.model_copy(update={"quality": {}, "thresholds": ()})
    write_manifest(tmp_path / "manifest.toml", bare)
    assert read_manifest(tmp_path / "manifest.toml") == bare


def test_a_manifest_that_does_not_say_when_is_told_so(repository: Repository) -> None:
    path = repository.folder / NAME / VERSION / "manifest.toml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("when")]
    path.write_text("\n".join(lines))
    with pytest.raises(ModelError, match=r"manifest\.toml: trained\.when: Field required"):
        read_manifest(path)


def test_threads_follow_the_quota_of_the_container(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text("100000 100000\n")
    assert usable_cpus(quota) == 1
    quota.write_text("max 100000\n")
    assert usable_cpus(quota) >= 1
    assert usable_cpus(tmp_path / "absent") >= 1
