"""Variants of models: what each is, what it costs, and what the gate refuses."""

from datetime import date
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.manifest import Manifest, ModelError, Trained, write_manifest
from models.optimise.four_bits import four_bits, packed
from models.optimise.gate import GateError, Limits
from models.optimise.graphs import graph_variants
from models.optimise.made import Variant
from models.optimise.measure import Runnable
from models.optimise.registering import register_variant
from models.optimise.study import Finding, Sample, Study, study, variants_of
from models.optimise.trees import tree_variants
from models.repository import ModelEntry, Repository, sha256_of
from models.train.tree_reading import depth_of, trees_of

INPUTS, HIDDEN = 64, 32
ANY_COST = Limits(cost_ratio_max=1e9)


def dense_model(seed: int = 1) -> onnx.ModelProto:
    random = np.random.default_rng(seed)
    into = random.normal(0, 0.4, (INPUTS, HIDDEN)).astype(np.float32)
    out = random.normal(0, 0.6, (HIDDEN, 1)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["features", "into"], ["hidden"], name="first"),
            helper.make_node("Relu", ["hidden"], ["rectified"], name="relu"),
            helper.make_node("Gemm", ["rectified", "out", "bias"], ["sum"], name="last"),
            helper.make_node("Sigmoid", ["sum"], ["score"], name="sigmoid"),
        ],
        "dense",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", INPUTS])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", 1])],
        [
            numpy_helper.from_array(into, "into"),
            numpy_helper.from_array(out, "out"),
            numpy_helper.from_array(np.zeros(1, np.float32), "bias"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> ModelEntry:
    repository = Repository(tmp_path_factory.mktemp("repository"))
    folder = repository.folder / "dense" / "1"
    folder.mkdir(parents=True)
    onnx.save(dense_model(), folder / "model.onnx")
    manifest = Manifest(
        name="dense",
        version="1",
        kind="dense",
        licence="Apache-2.0",
        inputs=tuple(f"x{number}" for number in range(INPUTS)),
        input="features",
        output="score",
        thresholds=(0.5,),
        sha256=sha256_of(folder / "model.onnx"),
        trained=Trained(when=date(2026, 2, 3), how="made up", data="none", rows=0, positives=0, seed=0),
        quality={"ap": 0.5},
    )
    write_manifest(folder / "manifest.toml", manifest)
    return repository.load("dense", "1")


@pytest.fixture(scope="module")
def sample(entry: ModelEntry) -> Sample:
    random = np.random.default_rng(2)
    rows = random.normal(0, 1, (3000, INPUTS)).astype(np.float32)
    scores = Runnable("dense", entry.path, entry.manifest).answers(rows)
    truth = random.uniform(size=len(rows)) < scores
    return Sample("made up", rows[:2000], truth[:2000], rows[2000:])


def studied(entry: ModelEntry, sample: Sample, *variants: Variant, limits: Limits = ANY_COST) -> Study:
    return study(entry, variants, sample, [16], limits, 4.0)


def only(found: Study) -> Finding:
    assert len(found.findings) == 2
    return found.findings[1]


def written(folder: Path, model: onnx.ModelProto, name: str = "broken") -> Variant:
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    return Variant(name, "made wrong", path)


def changed(name: str, change: object) -> onnx.ModelProto:
    model = dense_model()
    tensor = next(each for each in model.graph.initializer if each.name == name)
    tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor).copy()), name))  # type: ignore[operator]
    return model


def test_every_kind_of_variant_of_a_dense_model_answers_as_it_does(
    entry: ModelEntry, sample: Sample, tmp_path: Path
) -> None:
    variants = variants_of(entry, tmp_path, sample, 1)
    found = studied(entry, sample, *variants, limits=Limits(0.02, 0.95, 1e9))
    refused = {each.name: each.refused for each in found.findings if each.refused}
    assert not refused
    assert [each.name for each in found.findings[1:]] == [
        "graph", "fp16", "int8", "int8-all", "int8-qoperator", "int8-dynamic", "int4",
    ]  # fmt: skip
    sizes = {each.name: each.file_bytes for each in found.findings}
    assert sizes["int8-all"] < sizes["dense/1"]
    apart = {each.name: each.likeness.apart_max for each in found.findings if each.likeness}
    assert apart["graph"] <= 1e-6 < apart["int4"]


def test_what_cannot_be_made_says_why(tmp_path: Path) -> None:
    shipped = Repository.shipped().load("fraud-gbt", "1")
    made = {each.name: each for each in graph_variants(shipped.path, tmp_path, np.zeros((8, 15), np.float32))}
    for name in ("int8", "int8-all", "int8-dynamic", "int4"):
        assert made[name].path is None
        assert "needs a" in made[name].why
        assert "Gather" in made[name].why


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (changed("into", np.zeros_like), "of ap"),
        (changed("into", lambda weights: np.random.default_rng(0).permutation(weights)), "of ap"),
        (changed("out", lambda weights: -weights), "decides"),
        (changed("out", lambda weights: weights * np.float32(np.nan)), "answers are not finite, expected none"),
    ],
    ids=["zeroed", "shuffled", "negated", "nan"],
)
def test_the_gate_refuses_weights_that_are_broken(
    entry: ModelEntry, sample: Sample, tmp_path: Path, model: onnx.ModelProto, told: str
) -> None:
    variant = written(tmp_path, model)
    found = studied(entry, sample, variant)
    refused = only(found).refused
    assert any(told in reason for reason in refused), refused
    assert all(reason.startswith("broken: ") and "expected" in reason for reason in refused)
    with pytest.raises(GateError, match="not registered: broken: "):
        register_variant(Repository(tmp_path / "new"), entry, variant, only(found), found, sample)
    assert not (tmp_path / "new").exists()


def test_the_gate_refuses_eight_bits_of_a_wrong_scale(entry: ModelEntry, sample: Sample, tmp_path: Path) -> None:
    made = next(each for each in graph_variants(entry.path, tmp_path, sample.others) if each.name == "int8-all")
    assert made.path is not None
    assert only(studied(entry, sample, made, limits=Limits(0.02, 0.95, 1e9))).passed
    model = onnx.load(made.path)
    scale = next(each for each in model.graph.initializer if each.name == "rectified_scale")
    scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) / np.float32(40), scale.name))
    assert only(studied(entry, sample, written(tmp_path, model), limits=Limits(0.02, 0.95, 1e9))).refused


def test_the_gate_refuses_what_takes_or_gives_something_else(
    entry: ModelEntry, sample: Sample, tmp_path: Path
) -> None:
    other = dense_model()
    other.graph.output[0].name = "sum"
    assert (
        "expected score tensor(float)[rows, 1]" in only(studied(entry, sample, written(tmp_path, other))).refused[0]
    )
    wide = dense_model()
    wide.graph.input[0].type.tensor_type.shape.dim[1].dim_value = INPUTS + 1
    assert only(studied(entry, sample, written(tmp_path, wide))).refused
    (tmp_path / "text.onnx").write_text("no model")
    text = Variant("text", "a text", tmp_path / "text.onnx")
    assert "text: cannot be loaded" in only(studied(entry, sample, text)).refused[0]


def test_the_gate_refuses_what_is_not_cheaper(entry: ModelEntry, sample: Sample, tmp_path: Path) -> None:
    same = written(tmp_path, dense_model(), "same")
    refused = only(studied(entry, sample, same, limits=Limits(cost_ratio_max=0.01))).refused
    assert len(refused) == 1
    assert refused[0].startswith("same: takes ")
    assert refused[0].endswith("of the CPU time of dense/1, expected at most 0.01")


def test_what_passed_is_registered_with_its_figures(entry: ModelEntry, sample: Sample, tmp_path: Path) -> None:
    same = written(tmp_path, dense_model(), "same")
    found = studied(entry, sample, same)
    new = register_variant(Repository(tmp_path), entry, same, only(found), found, sample)
    assert (new.manifest.name, new.manifest.version) == ("dense", "1-same")
    parity = new.manifest.parity
    assert parity is not None
    assert (parity.reference, parity.images, parity.agreement, parity.accuracy_drop) == ("dense/1", 2000, 1.0, 0.0)
    assert (parity.apart_max, parity.rank_correlation, parity.cost_ratio_max) == (0.0, 1.0, 1e9)
    assert new.manifest.speed is not None
    assert new.manifest.speed.batch == (16,)


def test_a_model_that_is_broken_itself_is_not_studied(entry: ModelEntry, sample: Sample) -> None:
    rows = np.full_like(sample.rows, np.nan)
    with pytest.raises(ModelError, match="2000 of 2000 answers are not finite"):
        study(entry, [], Sample("nan", rows, sample.truth, rows), [16], ANY_COST, 4.0)


def test_four_bits_are_what_the_operator_reads(tmp_path: Path) -> None:
    weights = np.random.default_rng(3).normal(0, 1, (INPUTS, 4)).astype(np.float32)
    bits, scales = packed(weights)
    values = np.stack([bits & 15, bits >> 4], axis=-1).reshape(4, -1).astype(np.float32) - 8
    back = (values.reshape(4, 2, 32) * scales.reshape(4, 2, 1)).reshape(4, -1).T
    # Half a step at most; the largest of the other sign has no code of its own, and is a whole one off.
    assert (np.abs(back - weights) <= np.abs(scales).max() * 1.001).all()
    model = dense_model()
    assert four_bits(model) == 2
    assert not [node for node in model.graph.node if node.op_type in ("MatMul", "Gemm")]


@pytest.mark.parametrize("name", ["fraud-gbt", "fraud-lite"])
def test_trees_are_read_back_and_laid_out_anew(name: str, tmp_path: Path) -> None:
    shipped = Repository.shipped().load(name, "1")
    random = np.random.default_rng(4)
    rows = (random.exponential(1, (600, 15)) * random.choice([0.1, 1, 50], 15)).astype(np.float32)
    model = Runnable(name, shipped.path, shipped.manifest)
    scores = model.answers(rows)
    made = {each.name: each for each in tree_variants(shipped.path, tmp_path, rows, scores, 1)}
    count = 100 if name == "fraud-gbt" else 10
    assert len(trees_of(shipped.path)) == count
    for layout in ("walked", "unrolled"):
        again = made[layout].path
        assert again is not None
        assert np.abs(Runnable(layout, again, shipped.manifest).answers(rows) - scores).max() < 1e-6
    half = made[f"trees-{count // 2}"].path
    assert half is not None
    assert len(trees_of(half)) == count // 2
    assert trees_of(half)[0]["split_feature"] == trees_of(shipped.path)[0]["split_feature"]
    taught = made[f"taught-{count // 2}x2"].path
    assert taught is not None
    assert max(map(depth_of, trees_of(taught))) == 2


def test_other_models_have_no_trees(tmp_path: Path) -> None:
    onnx.save(dense_model(), tmp_path / "dense.onnx")
    rows = np.zeros((4, INPUTS), np.float32)
    assert tree_variants(tmp_path / "dense.onnx", tmp_path, rows, np.zeros(4, np.float32), 1) == []
    with pytest.raises(ModelError, match=r"no trees that can be read: .* its operators are Gemm, MatMul"):
        trees_of(tmp_path / "dense.onnx")
