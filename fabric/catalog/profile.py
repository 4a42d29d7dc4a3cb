"""Measures a model on generated inputs: may items be batched, how long does one take, how much memory, how large is its output.

Items are gathered along axis 0 only where f(a‖b) = f(a)‖f(b) was seen. Runs inside the sandbox of `catalog/admit.py`,
single-threaded, so that figures of different machines can be compared.
"""

import re
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from fabric.catalog.inspect import Inspection
from fabric.catalog.places import Place, refusal
from fabric.catalog.structure import find_place
from fabric.codecs.texts import STRING, numpy_dtype
from fabric.core.errors import InvalidModel
from fabric.sandbox.tensors import Crossing

onnxruntime.disable_telemetry_events()  # else it leaves a file in the temp folder

BATCHES = (2, 4, 8, 16, 32)
ITEM_BATCH_MAX = 16  # item_us is that of the best batch up to here
BATCH_BYTES_MAX = 64 * 1024**2
BATCH_MEMORY_MAX = 1024**3  # by the bound on one item: a batch should not need a larger machine than an item does
BATCH_US_MAX = 2_000_000  # a longer run gains nothing and is slow to cancel
TIMED_BATCH_US_MAX = 400_000
TIMED_US = 150_000  # for each batch size
PROCESSOR_US_MIN = 100_000
RUNS_MIN, RUNS_MAX = 3, 50
FREE_AXES = (16, 8, 32, 64, 224, 4, 2, 1)  # sizes tried for an axis that the model leaves open
INTEGERS_BELOW = (100, 2)  # tried in this order: indices into small tables fail above
TOLERANCE = {"float16": 2e-2, "float32": 1e-4, "float64": 1e-7}  # of the largest magnitude: kernels differ with the batch size
SEED = 20_260_101
_RUNNING_NODE = re.compile(r"while running (?P<operator>\w+) node\. Name:'(?P<name>[^']*)'")
_OUT_OF_MEMORY = re.compile(r"allocate memory|bad_alloc|bad allocation|out of memory", re.IGNORECASE)
Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Profile:
    """What admission measured."""

    batchable: bool
    batch_items_max: int  # 1 when not batchable; the fixed size when the axis is fixed
    batch_fixed: bool
    item_us: float  # of the best batch, on one thread
    load_us: int
    output_bytes_item: int | None  # None: it depends on the data
    memory_bytes: int  # peak, above an idle process

    def as_json(self) -> dict[str, Any]:
        """The profile as it is stored with a model version."""
        return asdict(self)


def measure(path: Path, inspection: Inspection) -> Profile:
    """Load the model, run it, measure it.

    Raises:
        InvalidModel: ONNX Runtime refuses it, or its outputs cannot be split into items.
    """
    before = _begin_peak()
    started = time.perf_counter_ns()
    trial = Trial(_session(path), inspection, path)
    load_us = (time.perf_counter_ns() - started) // 1000
    trial.find_generator()
    if trial.fixed is None:
        batchable = trial.is_batchable()
    else:
        batchable = trial.fixed > 1
        if batchable and not trial.rows_are_independent():
            raise InvalidModel(
                f"the items of the fixed batch of {trial.fixed} influence each other, so a pile of items cannot be split",
                reason="unsupported",
            )
    items, item_us = _batches(trial, batchable, inspection.bounds.get("memory_bytes", 0))
    return Profile(
        batchable=batchable,
        batch_items_max=items,
        batch_fixed=trial.fixed is not None,
        item_us=item_us,
        load_us=load_us,
        output_bytes_item=trial.output_bytes_item(),
        memory_bytes=max(_peak_bytes() - before, path.stat().st_size),
    )


class Trial:
    """A loaded model and the inputs made up for it."""

    def __init__(self, session: Any, inspection: Inspection, path: Path) -> None:
        """Items lie along axis 0 of the inputs that leave it open, or, when none does, of those that fix it alike."""
        self._crossing = Crossing(session)
        self._path = path
        self._inputs = inspection.inputs
        self._outputs_said = inspection.outputs
        self._outputs = list(inspection.outputs)
        first = {name: tensor["shape"][0] for name, tensor in inspection.inputs.items() if tensor["shape"]}
        self.fixed: int | None = None if None in first.values() else next(iter(first.values()))
        self._batched = {name for name, size in first.items() if size == self.fixed}
        self._is_open = any(None in tensor["shape"][1:] for tensor in inspection.inputs.values())
        self._free_axis = FREE_AXES[0]
        self._integers_below = INTEGERS_BELOW[0]

    @property
    def items_min(self) -> int:
        """Items of the smallest run."""
        return self.fixed or 1

    def find_generator(self) -> None:
        """Find inputs that the model accepts.

        Raises:
            InvalidModel: it accepts none, or the items of its fixed batch cannot be told apart in its outputs.
        """
        failure: _RunFailed | None = None
        for free_axis, integers_below in self._choices():
            self._free_axis, self._integers_below = free_axis, integers_below
            try:
                outputs = self.run(self.inputs(self.items_min))
            except _RunFailed as error:
                failure = failure or error
                if _OUT_OF_MEMORY.search(str(error)):
                    break  # another size would not make it harmless
                continue
            wrong = [name for name, value in outputs.items() if value.shape[:1] != (self.items_min,)]
            if wrong and self.items_min > 1:
                raise InvalidModel(
                    f"output {wrong[0]!r} has shape {list(outputs[wrong[0]].shape)} for a batch of {self.items_min} items; "
                    "its axis 0 must be the items'",
                    reason="unsupported",
                )
            return
        raise self._refusal_of(failure)

    def _refusal_of(self, failure: "_RunFailed | None") -> InvalidModel:
        """The refusal of a model that cannot be run, with the node that ONNX Runtime names, as the file has it."""
        place: Place | None = None
        if (named := _RUNNING_NODE.search(str(failure))) is not None:
            place = find_place(onnx.load(str(self._path)), named["name"], named["operator"])
        if _OUT_OF_MEMORY.search(str(failure)):
            return refusal("too_large", f"running it on generated inputs needs too much memory: {failure}", place)
        return refusal("cannot_run", f"the model cannot be run on generated inputs: {failure}", place)

    def is_batchable(self) -> bool:
        """Whether f(a‖b) = f(a)‖f(b), and a single item gives the same alone."""
        a, b = self.inputs(3, seed=1), self.inputs(2, seed=2)
        try:
            together = self.run(self._joined(a, b))
            apart = [self.run(a), self.run(b)]
            alone = self.run(self._rows(a, slice(0, 1)))
        except _RunFailed:
            return False
        return all(
            together[name].shape[:1] == (5,)
            and _agree(together[name], _stacked([part[name] for part in apart]))
            and _agree(alone[name], apart[0][name][:1])
            for name in self._outputs
        )

    def rows_are_independent(self) -> bool:
        """With a fixed batch: whether exchanging every other row changes those rows only."""
        a, b = self.inputs(self.items_min, seed=1), self.inputs(self.items_min, seed=2)
        mixed = {name: value.copy() for name, value in a.items()}
        for name in self._batched:
            mixed[name][1::2] = b[name][1::2]
        for name in set(self._inputs) - self._batched:
            b[name] = a[name]
        of_a, of_b, of_mixed = self.run(a), self.run(b), self.run(mixed)
        return all(
            _agree(of_mixed[name][0::2], of_a[name][0::2]) and _agree(of_mixed[name][1::2], of_b[name][1::2])
            for name in self._outputs
        )

    def output_bytes_item(self) -> int | None:
        """Bytes that one item gives, when that does not depend on the data as far as can be seen."""
        if self._is_open or STRING in {tensor["dtype"] for tensor in self._outputs_said.values()}:
            return None
        sizes = {sum(v.nbytes for v in self.run(self.inputs(self.items_min, seed=seed)).values()) for seed in (3, 4)}
        return sizes.pop() // self.items_min if len(sizes) == 1 else None

    def run(self, inputs: Tensors) -> Tensors:
        """One run. Raises `_RunFailed` with ONNX Runtime's words."""
        try:
            values = self._crossing.run(self._outputs, inputs)
        except Exception as error:  # ONNX Runtime's errors have no common base class
            raise _RunFailed(_plain(error)) from None
        return dict(zip(self._outputs, values, strict=True))

    def inputs(self, items: int, seed: int = 0) -> Tensors:
        """Generated inputs of so many items."""
        random = np.random.default_rng([SEED, seed])
        return {name: self._tensor(random, name, tensor, items) for name, tensor in self._inputs.items()}

    def _tensor(self, random: np.random.Generator, name: str, tensor: Mapping[str, Any], items: int) -> NDArray[Any]:
        shape = [self._free_axis if size is None else size for size in tensor["shape"]]
        if name in self._batched:
            shape[0] = items
        if tensor["dtype"] == STRING:
            return random.integers(0, self._integers_below, shape).astype(str).astype(object)
        dtype = numpy_dtype(tensor["dtype"])
        if dtype.kind == "f":
            return random.random(shape, dtype=np.float32).astype(dtype)
        if dtype.kind == "b":
            return random.integers(0, 2, shape).astype(dtype)
        return random.integers(0, 256 if dtype == np.uint8 else self._integers_below, shape).astype(dtype)

    def _choices(self) -> Iterator[tuple[int, int]]:
        for axis in FREE_AXES if self._is_open else FREE_AXES[:1]:
            for below in INTEGERS_BELOW:
                yield axis, below

    def _joined(self, a: Tensors, b: Tensors) -> Tensors:
        joined = {}
        for name, value in a.items():
            if name in self._batched:
                joined[name] = np.concatenate([value, b[name]])
            else:
                joined[name] = b[name] = value
        return joined

    def _rows(self, tensors: Tensors, rows: slice) -> Tensors:
        return {name: value[rows] if name in self._batched else value for name, value in tensors.items()}


class _RunFailed(Exception):
    """ONNX Runtime refused to run these inputs."""


def _session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common base class
        raise InvalidModel(f"ONNX Runtime cannot load the model: {_plain(error)}", reason="cannot_load") from None


def _batches(trial: Trial, batchable: bool, item_memory_bytes: int) -> tuple[int, float]:
    """The most items one run takes, and microseconds of one item in the best batch.

    The maximum is where larger runs cease to be harmless, not where they cease to be faster: that each slot finds out itself.
    """
    if trial.fixed or not batchable:
        return trial.items_min, _run_us(trial, trial.items_min) / trial.items_min
    items_max, best_us = 1, _run_us(trial, 1)
    item_bytes = sum(value.nbytes for value in trial.inputs(1).values())
    for items in BATCHES:
        if items * item_bytes > BATCH_BYTES_MAX or items * best_us > BATCH_US_MAX or items * item_memory_bytes > BATCH_MEMORY_MAX:
            break
        try:
            if items <= ITEM_BATCH_MAX and items * best_us <= TIMED_BATCH_US_MAX:
                best_us = min(best_us, _run_us(trial, items) / items)
            else:
                trial.run(trial.inputs(items))
        except _RunFailed:
            break
        items_max = items
    return items_max, best_us


def _run_us(trial: Trial, items: int) -> float:
    """Microseconds of the quickest of several runs; on a machine that is busy with other things, of processor time of all of them."""
    inputs = trial.inputs(items)
    processor_ns = time.process_time_ns()
    best_us, spent_us, runs = _timed(trial, inputs), 0.0, 1
    if best_us <= TIMED_BATCH_US_MAX:
        while runs <= RUNS_MAX and (runs <= RUNS_MIN or spent_us < TIMED_US):
            us = _timed(trial, inputs)
            best_us, spent_us, runs = min(best_us, us), spent_us + us, runs + 1
    processor_us = (time.process_time_ns() - processor_ns) / 1000
    # Prices and caps come of this. The processor's clock ticks coarsely, so it is believed over longer times only.
    return min(best_us, processor_us / runs) if processor_us >= PROCESSOR_US_MIN else best_us


def _timed(trial: Trial, inputs: Tensors) -> float:
    started = time.perf_counter_ns()
    trial.run(inputs)
    return (time.perf_counter_ns() - started) / 1000


def _agree(a: NDArray[Any], b: NDArray[Any]) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype.kind != "f" or a.size == 0:
        return bool(np.array_equal(a, b))
    finite = np.abs(b[np.isfinite(b)])
    tolerance = TOLERANCE[a.dtype.name] * max(float(finite.max()) if finite.size else 0.0, 1e-12)
    return bool(np.allclose(a, b, rtol=0.0, atol=tolerance, equal_nan=True))


def _stacked(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Joined along axis 0; parts of different item shapes agree with nothing."""
    if len({part.shape[1:] for part in parts}) > 1 or not parts[0].ndim:
        return np.empty(0)
    return np.concatenate(parts)


def _plain(error: Exception) -> str:
    return " ".join(str(error).split())[:400]


def _begin_peak() -> int:
    """Let the peak begin anew where the kernel can, and give the memory that is in use now."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass  # then what the inspection took may hide some of the run
    return _status_bytes("VmRSS") or _peak_bytes()


def _peak_bytes() -> int:
    return _status_bytes("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def _status_bytes(field: str) -> int:
    """A figure of this process as Linux tells it; 0 elsewhere. (ru_maxrss would also count the parent, before the child's exec.)"""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
