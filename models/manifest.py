"""What stands beside a model: where it came from, what it takes and gives, how good and how fast it was."""

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[\w-][\w.-]*$")]


class ModelError(ValueError):
    """A model that cannot be used, with its path, what was found and what was expected."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Trained(_Part):
    """How the model was made."""

    when: date
    """The day it was trained (UTC)."""
    how: str
    data: str
    rows: int
    positives: int
    seed: int


class ImageInput(_Part):
    """What a classifier of images takes: pixels brought to [0, 1], less `mean`, by `std`, channel by channel."""

    height: int = Field(ge=8, le=4096)
    width: int = Field(ge=8, le=4096)
    channels: Literal[1, 3]
    """1 is grey, 3 is red, green, blue."""
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @model_validator(mode="after")
    def _one_a_channel(self) -> Self:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels:
                raise ValueError(
                    f"{name} has {len(values)} numbers, expected one for each of {self.channels} channels"
                )
        if min(self.std) <= 0:
            raise ValueError(f"std is {list(self.std)}, expected numbers above 0")
        return self


class Calibration(_Part):
    """How far a classifier's probabilities can be taken at their word, on images it was not trained on."""

    temperature: float = Field(gt=0)
    """What the logits are divided by, inside the graph (Guo et al., 2017)."""
    ece_before: float
    ece_after: float
    """Expected calibration error: the mean distance of confidence from accuracy, over bins of confidence."""
    images: tuple[int, ...]
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    """A bin each, of equal width over [0, 1]: how many images, their mean confidence, the share that was right."""


class Speed(_Part):
    """How long the model alone took, measured when it was made."""

    machine: str
    provider: str
    threads: int
    batch: tuple[int, ...]
    us_a_row: tuple[float, ...]
    """The fastest of some runs, for each size of batch."""
    file_bytes: int


class Parity(_Part):
    """What being cheaper cost, on rows not trained on; the model was registered since this is within limits."""

    reference: str
    """`model/version` of the model that this is a variant of."""
    images: int
    """How many rows: images, or feature rows."""
    agreement: float
    """The share of them that both models put in the same class, or on the same side of every threshold."""
    agreement_min: float
    accuracy_drop: float
    """Quality of the reference less the model's own: accuracy, or average precision of a model of scores."""
    accuracy_drop_max: float
    accuracy_drop_high: float | None = None
    """Where the drop may be, with 95 % confidence; None where it was held to its limit as found."""
    apart_max: float | None = None
    """The largest difference of a score or a probability."""
    rank_correlation: float | None = None
    cost_ratio: float | None = None
    """CPU time a row over the reference's."""
    cost_ratio_max: float | None = None


class StateShape(_Part):
    """What a recurrent model keeps of an entity from one event to the next: float32[rows, size], zeros at first."""

    input: str
    """The ONNX input that takes it."""
    output: str
    """The ONNX output that gives what the next event of the entity takes."""
    size: int = Field(ge=1, le=4096)


class Manifest(_Part):
    """`manifest.toml`, beside `model.onnx`."""

    name: str
    version: str
    kind: str
    licence: str
    inputs: tuple[str, ...] = ()
    """The features, in the order of the model's input columns; none where the input is an image."""
    input: str
    """The ONNX input: float32[rows, features], or float32[rows, channels, height, width]."""
    output: str
    """The ONNX output: float32[rows, 1] or float32[rows], the score in [0, 1]; or float32[rows, classes]."""
    classes: tuple[str, ...] = ()
    """Of an image classifier: what each column of the output is the probability of."""
    clean: str | None = None
    """The class that is no defect, if there is one: the score is 1 less its probability. Without one the score is
    the likeliest class's probability, and a pipeline has to say which class means which decision."""
    thresholds: tuple[float, ...]
    """Scores at which the decisions above the lowest begin."""
    sha256: Sha256
    files: dict[FileName, Sha256] = {}
    """What else lies beside the model, by name, with its SHA-256: its trees, the reference of its features."""
    trained: Trained
    quality: dict[str, float]
    image: ImageInput | None = None
    confusion: dict[str, tuple[int, ...]] = {}
    """Of each true class: how many held-out images were put in which class."""
    calibration: Calibration | None = None
    speed: Speed | None = None
    parity: Parity | None = None
    state: StateShape | None = None
    """Of a recurrent model."""

    @model_validator(mode="after")
    def _takes_features_or_an_image(self) -> Self:
        if self.image is None:
            if not self.inputs:
                raise ValueError("inputs: a model without [image] takes at least one feature")
            return self
        if self.inputs:
            raise ValueError("inputs: a model with [image] takes no features")
        if self.state is not None:
            raise ValueError("state: a model with [image] keeps none, expected one of the two")
        if len(set(self.classes)) < max(2, len(self.classes)):
            raise ValueError(f"classes is {list(self.classes)}, expected at least two, each once")
        if self.clean is not None and self.clean not in self.classes:
            raise ValueError(f"clean is {self.clean}, which is none of {', '.join(self.classes)}")
        if self.confusion and tuple(self.confusion) != self.classes:
            raise ValueError(f"confusion has {', '.join(self.confusion)}, expected {', '.join(self.classes)}")
        if any(len(row) != len(self.classes) for row in self.confusion.values()):
            raise ValueError(f"confusion: expected {len(self.classes)} counts for each class")
        return self


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest. Raises ModelError naming the file and the key."""
    try:
        return Manifest.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ModelError(f"{path}: there is no manifest") from None
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"{path}: not TOML: {error}") from None
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}" for problem in error.errors()
        )
        raise ModelError(f"{path}: {problems}") from None


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest as TOML, keys in declaration order; what has its default is left out."""
    lines: list[str] = []
    tables: list[str] = []
    for key, value in manifest.model_dump().items():
        if value == Manifest.model_fields[key].default:
            continue
        if isinstance(value, dict):
            items = {name: item for name, item in value.items() if item is not None}
            tables += ["", f"[{key}]", *(f"{_key(name)} = {_toml(item)}" for name, item in items.items())]
        else:
            lines.append(f"{key} = {_toml(value)}")
    path.write_text("\n".join([*lines, *tables, ""]), encoding="utf-8")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)


def _toml(value: Any) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, date):
        return value.isoformat()
    return str(value)
