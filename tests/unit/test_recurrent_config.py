"""What a user says of a model with state, and every mistake in it: where it is, what was found, what was expected."""

import re
import tomllib
from pathlib import Path
from typing import Any

import onnx
import pytest

from models.manifest import ModelError, StateShape, read_manifest
from models.recurrent_session import RecurrentSession, open_session
from models.repository import Repository
from models.session import CPU, CUDA, ModelSession
from models.train.onnx_gru import INPUT, step_onnx
from pipeline.cli.checks import check_models
from pipeline.config.load import load
from pipeline.config.problems import ConfigError
from pipeline.tiers import open_tiers
from tests.recurrent_models import NAME, fraud_models, random_weights, write_model

DOC = Path(__file__).parent.parent.parent / "docs" / "stateful-models.md"
WEIGHTS = random_weights(15, 8)
FEATURES = tuple(load("fraud", environ={}).config.features)


def configured(*assignments: str) -> Any:
    return load("fraud", environ={}, assignments=assignments).config


def recurrent(folder: Path, *more: str) -> Any:
    fraud_models(folder, FEATURES, WEIGHTS)
    return configured(f"models.folder={folder}", f"tiers.primary.model={NAME}", *more)


def test_the_snippet_of_the_document_is_a_pipeline() -> None:
    snippet = tomllib.loads(re.findall(r"```toml\n(.*?)```", DOC.read_text(), re.DOTALL)[0])
    (tier,) = snippet["tiers"]
    config = configured("tiers.primary.model=" + tier["model"], "tiers.primary.state.keys_expected=100000")
    assert config.tiers[0].state.model_dump(exclude_defaults=True) == tier["state"]
    found = open_tiers(config, FEATURES)[0].recurrent
    assert (found.plan.key, found.plan.keys_expected, found.plan.size) == ("customer_id", 100_000, 32)
    assert "fraud-gru/1 on CPUExecutionProvider, which keeps 164 bytes of each customer_id" in check_models(config)


def test_the_manifest_of_the_document_is_the_shipped_ones() -> None:
    snippet = tomllib.loads(re.findall(r"```toml\n(.*?)```", DOC.read_text(), re.DOTALL)[1])
    assert Repository.shipped().load("fraud-gru", "1").manifest.state == StateShape(**snippet["state"])


def test_the_state_is_the_topics_keys() -> None:
    with pytest.raises(ConfigError, match=r"primary.state.key: found 'terminal_id', expected 'customer_id', the key"):
        configured("tiers.primary.state.key=terminal_id")


def test_a_model_without_state_has_none_to_configure() -> None:
    config = configured("tiers.primary.state.keys_expected=5")
    with pytest.raises(ModelError, match=r"tiers: primary.state: .*fraud-gbt.* keeps none, expected a model with"):
        open_tiers(config, FEATURES)


def test_threads_would_run_a_key_twice_at_once(tmp_path: Path) -> None:
    config = recurrent(tmp_path, "engine.session=thread", "engine.sessions=2")
    with pytest.raises(ModelError, match=r'found engine.session = "thread", expected "inline"'):
        open_tiers(config, FEATURES)


@pytest.mark.parametrize(
    ("more", "found"),
    [
        (("cascade.first=lite",), "tiers: lite scores first"),
        (("tiers.primary.model=fraud-lite", f"tiers.lite.model={NAME}"), "tiers: primary scores first"),
    ],
)
def test_a_tier_that_does_not_see_all_keeps_no_state(tmp_path: Path, more: tuple[str, ...], found: str) -> None:
    config = recurrent(tmp_path, *more)
    with pytest.raises(ModelError, match=rf"it keeps state in tier \w+, found {found}, expected"):
        open_tiers(config, FEATURES)


def opened(folder: Path, **changes: Any) -> RecurrentSession:
    entry = Repository(write_model(folder, WEIGHTS, FEATURES, **changes)).load(NAME, "1")
    session = open_session(entry, providers=[CPU], buckets=[1, 4], feature_names=FEATURES)
    assert isinstance(session, RecurrentSession)
    return session


def test_it_loads_and_warms(tmp_path: Path) -> None:
    session = opened(tmp_path)
    assert session.state_size == 8
    assert set(session.warm()) == {1, 4}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"input": "memory"}, "its inputs are features, hidden, the manifest names features, memory"),
        ({"output": "memory"}, "its outputs are score, hidden_next, none is memory"),
        ({"size": 9}, r"input hidden is tensor\(float\)\[.*, 8\], expected tensor\(float\)\[rows, 9\]"),
    ],
)
def test_a_manifest_that_is_not_the_models(tmp_path: Path, state: dict[str, Any], message: str) -> None:
    shape = {"input": "hidden", "output": "hidden_next", "size": 8, **state}
    with pytest.raises(ModelError, match=rf"model.onnx: {message}"):
        opened(tmp_path, state=StateShape(**shape))


def test_a_state_that_is_no_number_is_found_when_it_is_warmed(tmp_path: Path) -> None:
    folder = write_model(tmp_path, WEIGHTS, FEATURES)
    model = step_onnx(WEIGHTS)
    nodes = [node for node in model.graph.node if "hidden_next" in node.output]
    nodes[0].output[0] = "whole"
    model.graph.node.insert(
        list(model.graph.node).index(nodes[0]) + 1, onnx.helper.make_node("Log", ["minus"], ["broken"])
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(WEIGHTS.gain[:1] * 0 - 1, "minus"))
    model.graph.node.insert(
        list(model.graph.node).index(nodes[0]) + 2, onnx.helper.make_node("Add", ["whole", "broken"], ["hidden_next"])
    )
    for node in model.graph.node:
        if node.op_type == "Concat" and node.output[0] == "told":
            node.input[1] = "whole"
    onnx.save(model, folder / NAME / "1" / "model.onnx")
    from models.repository import sha256_of

    manifest = folder / NAME / "1" / "manifest.toml"
    text = re.sub(
        r'sha256 = ".*"', f'sha256 = "{sha256_of(folder / NAME / "1" / "model.onnx")}"', manifest.read_text()
    )
    manifest.write_text(text)
    entry = Repository(folder).load(NAME, "1")
    session = open_session(entry, providers=[CPU], buckets=[1], feature_names=FEATURES)
    with pytest.raises(ModelError, match=r"output hidden_next is not finite for a first event"):
        session.warm()


def test_it_runs_on_the_cpu_alone(tmp_path: Path) -> None:
    entry = Repository(write_model(tmp_path, WEIGHTS, FEATURES)).load(NAME, "1")
    with pytest.raises(ModelError, match=r"found CUDAExecutionProvider, expected the CPU alone"):
        open_session(entry, providers=[CUDA], buckets=[1], feature_names=FEATURES)
    with pytest.raises(ModelError, match=rf"its inputs are {INPUT}, hidden, the manifest names {INPUT}"):
        ModelSession(entry, providers=[CPU], buckets=[1], feature_names=FEATURES)
    other = Repository.shipped().load("fraud-lite", "1")
    with pytest.raises(ModelError, match=r"its manifest has no \[state\]"):
        RecurrentSession(other, providers=[CPU], buckets=[1], feature_names=FEATURES)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('input = "h"\noutput = "n"\nsize = 0', r"state.size: Input should be greater than or equal to 1"),
        ('input = "h"\noutput = "n"', r"state.size: Field required"),
        ('input = "h"\noutput = "n"\nsize = 3\nkey = "k"', r"state.key: Extra inputs"),
    ],
)
def test_a_manifest_with_a_mistake_names_file_and_key(tmp_path: Path, table: str, message: str) -> None:
    path = tmp_path / "manifest.toml"
    write_model(tmp_path, WEIGHTS, FEATURES)
    text = (tmp_path / NAME / "1" / "manifest.toml").read_text()
    path.write_text(text[: text.index("[state]")] + f"[state]\n{table}\n")
    with pytest.raises(ModelError, match=rf"manifest.toml: {message}"):
        read_manifest(path)
    shipped = Repository.shipped().load("surface-cnn", "1").path.parent / "manifest.toml"
    path.write_text(shipped.read_text() + '\n[state]\ninput = "h"\noutput = "n"\nsize = 3\n')
    with pytest.raises(ModelError, match=r"state: a model with \[image\] keeps none"):
        read_manifest(path)
