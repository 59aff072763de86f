"""Where models lie: `<model>/<version>/model.onnx` with its manifest, checked before anything is run."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from models.manifest import Manifest, ModelError, read_manifest

MODEL_FILE, MANIFEST_FILE = "model.onnx", "manifest.toml"


@dataclass(frozen=True)
class ModelEntry:
    """One version of one model, its hash checked."""

    path: Path
    manifest: Manifest

    def beside(self, name: str) -> Path | None:
        """A file that the manifest says lies beside the model; None where it does not."""
        return self.path.parent / name if name in self.manifest.files else None


def sha256_of(path: Path) -> str:
    """The file's SHA-256, as manifests have it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Repository:
    """A folder of models."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def shipped(cls) -> "Repository":
        """The models that come with the product."""
        return cls(Path(__file__).parent / "repository")

    def names(self) -> list[tuple[str, str]]:
        """All (model, version) there are, sorted."""
        return sorted(
            (path.parent.parent.name, path.parent.name) for path in self.folder.glob(f"*/*/{MANIFEST_FILE}")
        )

    def load(self, name: str, version: str) -> ModelEntry:
        """One entry. Raises ModelError when it is missing, or its file is not the one the manifest is about."""
        folder = self.folder / name / version
        if not folder.is_dir():
            known = ", ".join(f"{model}/{number}" for model, number in self.names()) or "none"
            raise ModelError(f"{self.folder}: there is no model {name}/{version}; there are {known}")
        manifest = read_manifest(folder / MANIFEST_FILE)
        path = folder / MODEL_FILE
        _check(path, "the model file", manifest.sha256)
        for name, sha256 in manifest.files.items():
            _check(folder / name, "a file of the model", sha256)
        return ModelEntry(path, manifest)


def _check(path: Path, what: str, sha256: str) -> None:
    if not path.is_file():
        raise ModelError(f"{path}: {what} is missing")
    found = sha256_of(path)
    if found != sha256:
        raise ModelError(
            f"{path}: sha256 is {found}, the manifest says {sha256}: "
            f"the file is damaged, or it was replaced without its manifest"
        )
