"""A model repository with versions that behave in known ways: good, inverted, constant, slow, and worse."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import onnx
import onnx.parser

from models.manifest import Manifest, Trained, write_manifest
from models.repository import sha256_of

_HEAD = '<ir_version: 8, opset_import: ["" : 17]>\nmodel (float[rows, {inputs}] features) => (float[rows, 1] score)\n'
_AMOUNT = """
   first = Constant<value_ints = [0]>()  last = Constant<value_ints = [1]>()  axis = Constant<value_ints = [1]>()
   amount = Slice(features, first, last, axis)
   middle = Constant<value_float = {middle}>()  width = Constant<value_float = {width}>()
   apart = Sub(amount, middle)  logit = Div(apart, width)  chance = Sigmoid(logit)
"""
_ENDS = {
    "good": "score = Identity(chance)",
    "constant": "zero = Constant<value_float = 0.0>() none = Mul(chance, zero) half = Constant<value_float = 0.01>() "
    "score = Add(none, half)",
    "not-finite": "top = Constant<value_float = 30.0>() left = Sub(top, amount) root = Sqrt(left) "
    "zero = Constant<value_float = 0.0>() none = Mul(root, zero) score = Add(chance, none)",
    "raising": "one = Constant<value_float = 0.001>() tiny = Mul(amount, one) top = Ceil(tiny) "
    "index = Cast<to = 7>(top) row = Constant<value_floats = [0.0]>() none = Gather<axis = 0>(row, index) "
    "score = Add(chance, none)",
}
_SLOW = """
   all = ReduceMax<keepdims = 0>(amount)  zero = Constant<value_float = 0.0>()  busy = Greater(all, zero)
   extra = If (busy) <
      then_branch = then () => (float[rows, 1] late) {{
         times = Constant<value_ints = [1, {width}]>()  wide = Tile(amount, times)
         {steps}
         across = Constant<value_ints = [1]>()  sum = ReduceSum<keepdims = 1>(w{last}, across)
         none = Constant<value_float = 0.0>()  late = Mul(sum, none)
      }},
      else_branch = other () => (float[rows, 1] early) {{
         none = Constant<value_float = 0.0>()  early = Mul(amount, none)
      }}
   >
   score = Add(chance, extra)
"""


def model_of(kind: str, inputs: int) -> onnx.ModelProto:
    """A model of so many features whose first is the amount: `good` rises with it, the others are as they are called.

    None shows what it is by rows of zeros, which is what sessions are warmed with.
    """
    middle, width = (50.0, -20.0) if kind == "inverted" else (50.0, 20.0)
    body = _AMOUNT.format(middle=middle, width=width)
    if kind == "slow":
        steps = "\n".join(f"w{n + 1} = Sin({'wide' if n == 0 else f'w{n}'})" for n in range(20))
        body += _SLOW.format(width=2000, steps=steps, last=20)
    else:
        body += _ENDS["good" if kind == "inverted" else kind]
    return onnx.parser.parse_model(_HEAD.format(inputs=inputs) + "{" + body + "}")


def add_version(folder: Path, name: str, version: str, kind: str, inputs: Sequence[str]) -> None:
    """Put a version into a repository; kind `broken` is a good one whose file was cut short after it was hashed."""
    entry = folder / name / version
    entry.mkdir(parents=True)
    onnx.save(model_of("good" if kind == "broken" else kind, len(inputs)), entry / "model.onnx")
    manifest = Manifest(
        name=name,
        version=version,
        kind=kind,
        licence="Apache-2.0",
        inputs=tuple(inputs),
        input="features",
        output="score",
        thresholds=(0.3, 0.8),
        sha256=sha256_of(entry / "model.onnx"),
        trained=Trained(when=date(2026, 2, 3), how="made up", data="none", rows=0, positives=0, seed=0),
        quality={"auc": 0.5},
    )
    write_manifest(entry / "manifest.toml", manifest)
    if kind == "broken":
        content = (entry / "model.onnx").read_bytes()
        (entry / "model.onnx").write_bytes(content[: len(content) // 2])


def repository_of(folder: Path, inputs: Sequence[str], versions: Mapping[str, str]) -> Path:
    """`fraud-gbt` and `fraud-lite` in version 1, both good, and these versions of `fraud-gbt`: version -> kind."""
    for name in ("fraud-gbt", "fraud-lite"):
        add_version(folder, name, "1", "good", inputs)
    for version, kind in versions.items():
        add_version(folder, "fraud-gbt", version, kind, inputs)
    return folder
