"""A model ready to score: what was asked for is what runs, or the process does not start."""

import threading
import time
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.manifest import ModelError
from models.repository import ModelEntry
from models.threads import usable_cpus

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
WARM_RUNS = 5
SUM_TOLERANCE = 1e-3
"""How far the probabilities of an image's classes may be from 1 together: what quantising leaves."""
ort.set_default_logger_severity(3)


class ModelSession:
    """One model on one provider. Any thread may call `run`; on CUDA, where buffers are shared, they take turns.

    A row is a feature row, whose answer is a score, or an image, whose answer is a probability for each class: the
    manifest says which. `row` and `answer` are the shapes of one.

    Buckets are the batch sizes it is warmed with. On CUDA each has input and output buffers bound for good and a
    batch is padded to its bucket, since a new shape stalls the device; on the CPU a batch runs as it is.
    """

    def __init__(
        self,
        entry: ModelEntry,
        *,
        providers: Sequence[str],
        buckets: Sequence[int],
        feature_names: Sequence[str] = (),
        threads: int = 1,
    ) -> None:
        self.entry = entry
        self._where = f"{entry.path}"
        manifest = entry.manifest
        image = manifest.image
        self.row = (len(manifest.inputs),) if image is None else (image.channels, image.height, image.width)
        self.answer = () if image is None else (len(manifest.classes),)
        self._buckets = sorted(buckets)
        self._session = self._open(list(providers), min(threads, usable_cpus()))
        self.provider = providers[0]
        self._input, self._output = self._check_shapes(feature_names)
        self._turn = threading.Lock()
        self._bound = {rows: self._bind(rows) for rows in self._buckets} if self.provider == CUDA else {}

    def _open(self, providers: list[str], threads: int) -> Any:
        missing = [name for name in providers if name not in ort.get_available_providers()]
        if missing:
            available = ", ".join(ort.get_available_providers())
            raise ModelError(
                f"{self._where}: provider {missing[0]} is not in this ONNX Runtime, which has {available}"
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if CPU not in providers:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        try:
            session = ort.InferenceSession(str(self.entry.path), options, providers=providers)
        except Exception as error:  # ONNX Runtime's own exceptions have no common class
            raise ModelError(f"{self._where}: cannot be loaded: {str(error).splitlines()[0]}") from None
        if session.get_providers()[0] != providers[0]:
            raise ModelError(
                f"{self._where}: {providers[0]} was asked for, {session.get_providers()[0]} is what runs: "
                f"is the device there, and are its libraries installed (extra `cuda`)?"
            )
        return session

    def _check_shapes(self, feature_names: Sequence[str]) -> tuple[str, str]:
        manifest = self.entry.manifest
        if manifest.image is None and list(manifest.inputs) != list(feature_names):
            raise ModelError(f"{self._where}: {_difference(manifest.inputs, feature_names)}")
        inputs = {node.name: node for node in self._session.get_inputs()}
        outputs = {node.name: node for node in self._session.get_outputs()}
        if sorted(inputs) != sorted(self._inputs()):
            raise ModelError(
                f"{self._where}: its inputs are {', '.join(inputs)}, the manifest names {', '.join(self._inputs())}"
            )
        self._check_nodes(inputs, outputs)
        return manifest.input, manifest.output

    def _inputs(self) -> list[str]:
        """What the manifest says the model takes."""
        return [self.entry.manifest.input]

    def _check_nodes(self, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
        manifest = self.entry.manifest
        if manifest.output not in outputs:
            raise ModelError(f"{self._where}: its outputs are {', '.join(outputs)}, none is {manifest.output}")
        self._check_node("input", inputs[manifest.input], self.row)
        if self.answer:
            self._check_node("output", outputs[manifest.output], self.answer)

    def _check_node(self, what: str, node: Any, wanted: tuple[int, ...]) -> None:
        """Any number of rows of the wanted shape; a size that the model leaves open is as good."""
        fits = len(node.shape) == len(wanted) + 1 and all(
            size == found or not isinstance(found, int) for size, found in zip(wanted, node.shape[1:], strict=True)
        )
        if node.type != "tensor(float)" or not fits or isinstance(node.shape[0], int):
            raise ModelError(
                f"{self._where}: {what} {node.name} is {node.type}{node.shape}, "
                f"expected tensor(float)[rows, {', '.join(map(str, wanted))}]"
            )

    def _bind(self, rows: int) -> tuple[Any, Any, Any]:
        inputs = ort.OrtValue.ortvalue_from_shape_and_type([rows, *self.row], np.float32, "cuda", 0)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(self._input, inputs)
        binding.bind_output(self._output, "cuda")
        return inputs, binding, np.zeros((rows, *self.row), np.float32)

    def run(self, rows: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Score float32[n, *row] into float32[n, *answer]; n is at most the largest bucket."""
        if self._bound:
            with self._turn:
                self._run_bound(rows, out)
        else:
            out[:] = self._session.run([self._output], {self._input: rows})[0].reshape(out.shape)

    def _run_bound(self, rows: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        n = len(rows)
        bucket = next(size for size in self._buckets if size >= n)
        inputs, binding, staging = self._bound[bucket]
        staging[:n] = rows
        inputs.update_inplace(staging)
        self._session.run_with_iobinding(binding)
        out[:] = binding.get_outputs()[0].numpy().reshape((bucket, *self.answer))[:n]

    def keep(self, buckets: Collection[int]) -> None:
        """Give back the buffers of all other buckets; the largest must be among those kept."""
        self._buckets = sorted(buckets)
        self._bound = {rows: bound for rows, bound in self._bound.items() if rows in buckets}

    def warm(self) -> dict[int, list[int]]:
        """Run every bucket; returns how long each run took, in ns, without the first.

        Raises ModelError when the model does not give one finite score a row, or the probabilities of an image.
        """
        took: dict[int, list[int]] = {}
        for bucket in self._buckets:
            rows = np.zeros((bucket, *self.row), np.float32)
            out = np.full((bucket, *self.answer), np.nan, np.float32)
            took[bucket] = []
            for attempt in range(WARM_RUNS + 1):
                started_ns = time.perf_counter_ns()
                try:
                    self.run(rows, out)
                except ValueError as error:
                    wanted = "a probability for each class" if self.answer else "one score"
                    raise ModelError(f"{self._where}: expected {wanted} a row: {error}") from None
                if attempt:
                    took[bucket].append(time.perf_counter_ns() - started_ns)
            if not np.isfinite(out).all():
                raise ModelError(f"{self._where}: output {self._output} is not a finite score for a row of zeros")
            if self.answer and not _are_probabilities(out):
                raise ModelError(
                    f"{self._where}: output {self._output} is {out[0].tolist()} for an image of zeros, expected "
                    f"probabilities: none below 0, their sum 1"
                )
        return took


def _are_probabilities(out: NDArray[np.float32]) -> bool:
    return bool((out >= 0).all() and np.allclose(out.sum(axis=1), 1.0, atol=SUM_TOLERANCE))


def _difference(wanted: Sequence[str], given: Sequence[str]) -> str:
    missing = [name for name in wanted if name not in given]
    extra = [name for name in given if name not in wanted]
    if missing or extra:
        parts = [f"it needs {', '.join(missing)}, which the pipeline does not declare"] if missing else []
        parts += [f"the pipeline declares {', '.join(extra)}, which it does not take"] if extra else []
        return "; ".join(parts)
    place = next(index for index, name in enumerate(wanted) if given[index] != name)
    return (
        f"the same features in another order: column {place} is {wanted[place]} for the model and "
        f"{given[place]} in the pipeline"
    )
