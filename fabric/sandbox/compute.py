"""Computes subtasks: items gathered into batches, run by ONNX Runtime, outputs joined into one tensor frame each."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from fabric.codecs.base import Array, BadPayload
from fabric.codecs.frame import BadFrame, frame_buffers
from fabric.codecs.outputs import Delivery
from fabric.codecs.steps import BadOutput
from fabric.codecs.texts import numpy_dtype
from fabric.sandbox.items import InputItems, InputReader, ItemError, PaddedItems
from fabric.sandbox.messages import DETAIL_CHARACTERS_MAX, ITEM_ERRORS_MAX, ModelForm, SubtaskAt
from fabric.sandbox.sessions import LoadedModel, is_memory_error
from fabric.sandbox.stop import Stop, Stopped

Frame = list[bytes | memoryview]


class Undone(Exception):
    """This subtask was not done. `status` is failed (retrying may help), refused (it never will) or stopped."""

    def __init__(self, status: str, code: str, detail: str = ""):
        self.status = status
        self.code = code
        super().__init__(detail[:DETAIL_CHARACTERS_MAX])


class Computation:
    """The subtasks of one run of a model."""

    def __init__(self, form: ModelForm, model: LoadedModel, reader: InputReader, stop: Stop):
        """Compute with a loaded model until `stop`."""
        self._form = form
        self._model = model
        self._reader = reader
        self._stop = stop
        self._outputs = list(form.outputs)
        self._delivery = Delivery(form.outputs, form.inputs)
        self._pads = False
        self._options = onnxruntime.RunOptions()
        self._options.log_severity_level = 4  # an error is told in the receipt, not on the owner's terminal
        stop.ends(self._terminate)

    def frame_of(self, subtask: SubtaskAt) -> tuple[Frame, list[ItemError]]:
        """A subtask's outputs as the buffers of one frame, good until the next one; and its items that failed.

        Raises:
            Undone: whatever came in the way.
        """
        try:
            self._stop.check()
            return self._frame_of(subtask)
        except Stopped:
            raise Undone("stopped", "stopped") from None
        except BadPayload as error:
            raise Undone("refused", "invalid_input", str(error)) from error
        except BadOutput as error:
            raise Undone("refused", "invalid_output", str(error)) from error
        except Undone:
            raise
        except Exception as error:
            # Anything else that ONNX Runtime or memory may come up with; the next subtask has its own chance.
            if self._stop.is_set:
                raise Undone("stopped", "stopped") from error
            code = "memory_limit" if is_memory_error(error) else "run_failed"
            raise Undone("failed", code, f"{type(error).__name__}: {error}") from error

    def _terminate(self) -> None:
        self._options.terminate = True

    def _frame_of(self, subtask: SubtaskAt) -> tuple[Frame, list[ItemError]]:
        inputs = [self._reader.items(wanted) for wanted in subtask.inputs if not wanted.broadcast]
        constant = {w.name: self._reader.broadcast(w, self._model) for w in subtask.inputs if w.broadcast}
        if any(i.count != subtask.item_count for i in inputs) or not inputs:
            raise Undone("refused", "invalid_input", f"the inputs do not all have {subtask.item_count} items")
        self._pads = any(isinstance(i, PaddedItems) for i in inputs)
        pieces: dict[str, list[Array]] = {name: [] for name in self._delivery.specs}
        errors: list[ItemError] = []
        start = 0
        while start < subtask.item_count:
            self._stop.check()
            stop = start + self._batch_items(subtask.item_count - start)
            feeds, good, failed = self._feeds(inputs, start, stop)
            errors += failed
            if good:
                feeds |= constant
                for name, value in self._delivery.apply(self._run(feeds, good, constant), feeds).items():
                    pieces[name].append(value)
            start = stop
            if len(errors) > ITEM_ERRORS_MAX:
                raise Undone("refused", "too_many_item_errors", f"more than {ITEM_ERRORS_MAX} items failed")
        for name, rows in pieces.items():
            if not rows:
                rows.append(self._no_rows(name))
        try:
            return frame_buffers(pieces), errors
        except BadFrame as error:
            ragged = "; pad to a fixed length where the output has one value for each step" if self._pads else ""
            raise Undone("refused", "invalid_output", f"{error}{ragged}") from error

    def _batch_items(self, remaining: int) -> int:
        form = self._form
        if form.batch_fixed:
            return min(form.batch_items_max, remaining)
        if not form.batchable or remaining == 1:
            return 1
        return min(self._model.batch.next(remaining), form.batch_items_max)

    def _feeds(
        self, inputs: Sequence[InputItems | PaddedItems], start: int, stop: int
    ) -> tuple[dict[str, Array], int, list[ItemError]]:
        """The arrays of one batch, how many items are in it, and the items that failed and are not."""
        arrays: dict[str, Array] = {}
        failed: dict[int, ItemError] = {}
        for source in inputs:
            taken, errors = source.take(start, stop, self._model)
            arrays |= taken
            for error in errors:
                failed.setdefault(error[0], error)
        count = stop - start
        if failed:
            kept = [row for row in range(count) if start + row not in failed]
            arrays = {name: array[kept] for name, array in arrays.items()}
            count = len(kept)
        if self._form.batch_fixed and 0 < count < self._form.batch_items_max:
            arrays = {name: _padded(array, self._form.batch_items_max) for name, array in arrays.items()}
        return arrays, count, [failed[index] for index in sorted(failed)]

    def _run(self, feeds: dict[str, Array], good: int, constant: dict[str, Array]) -> dict[str, Array]:
        started = time.perf_counter()
        try:
            values = self._model.run(self._outputs, feeds, self._options, constant)
        except (ort_errors.InvalidArgument, ValueError) as error:
            self._stop.check()
            raise Undone("refused", "invalid_input", str(error)) from error
        self._model.batch.observe(good, time.perf_counter() - started)
        return {name: self._rows(name, value, good) for name, value in zip(self._outputs, values, strict=True)}

    def _rows(self, name: str, value: Any, good: int) -> Array:
        if not isinstance(value, np.ndarray):
            raise Undone("refused", "invalid_output", f"output {name!r} is no tensor")
        form = self._form
        if form.batch_items_max == 1 or not (form.batchable or form.batch_fixed):
            shape = form.outputs[name]["shape"]
            has_item_axis = bool(shape) and shape[0] in {None, 1} and value.ndim > 0 and len(value) == 1
            return value if has_item_axis else value[None]
        fed = form.batch_items_max if form.batch_fixed else good
        if not value.ndim or len(value) != fed:
            raise Undone("refused", "invalid_output", f"output {name!r} has shape {list(value.shape)} for {fed} items")
        return value[:good]

    def _no_rows(self, name: str) -> Array:
        spec = self._delivery.specs[name]
        return np.empty((0, *[n if isinstance(n, int) else 0 for n in spec["shape"][1:]]), numpy_dtype(spec["dtype"]))


def _padded(array: Array, rows: int) -> Array:
    # Repeating a real item keeps the padding inside the values that the model knows.
    padded = np.empty((rows, *array.shape[1:]), array.dtype)
    padded[: len(array)] = array
    padded[len(array) :] = array[-1]
    return padded
