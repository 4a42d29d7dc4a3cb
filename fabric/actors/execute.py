"""One order from start to receipt: fetch, decode, run, encode, upload.

`prepare_order` fetches and loads; `run_prepared` computes. A slot prepares its next order while it runs the present one. Whatever
goes wrong with a subtask is told in its receipt and leaves its neighbours alone.
"""

import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from fabric.actors.cancellation import Cancellation, Cancelled
from fabric.actors.gather import InputItems, InputReader, plan_fetches
from fabric.actors.messages import DETAIL_CHARACTERS_MAX, ItemError, Order, Receipt, SubtaskOrder, SubtaskReceipt
from fabric.actors.sessions import LoadedModel, LoadFailed, SessionCache
from fabric.actors.transfer import Transfer, TransferFailed
from fabric.codecs.base import Array, BadPayload
from fabric.codecs.frame import BadFrame, decode_header, encode_frame
from fabric.core.errors import Invalid

INLINE_BYTES_MAX = 6 * 1024 * 1024  # of all outputs in one receipt; the rest of the 8 MiB is for errors and headers
ITEM_ERRORS_MAX = 20_000  # in one receipt
TIMEOUT = "timeout"  # the Cancellation's reason when an order took too long


class Refused(Exception):
    """This subtask can never be done: its inputs or the model are wrong."""

    def __init__(self, code: str, detail: str):
        self.code = code
        super().__init__(detail)


@dataclass(frozen=True, slots=True)
class Prepared:
    """An order with everything it needs at hand."""

    order: Order
    cancellation: Cancellation
    model: LoadedModel
    reader: InputReader
    load_us: int
    fetch_us: int


def run_order(order: Order, sessions: SessionCache, transfer: Transfer, cancellation: Cancellation) -> Receipt:
    """One order from start to receipt. Never raises for what may happen on a good day or a bad one."""
    prepared = prepare_order(order, sessions, transfer, cancellation)
    return prepared if isinstance(prepared, Receipt) else run_prepared(prepared, transfer)


def prepare_order(order: Order, sessions: SessionCache, transfer: Transfer, cancellation: Cancellation) -> Prepared | Receipt:
    """Load the model and fetch the inputs; a receipt when that is already the end of it."""
    try:
        model, load_us = sessions.get(order.model, transfer, cancellation)
        started_ns = time.perf_counter_ns()
        plan = plan_fetches(order)
        fetched = transfer.fetch_all(plan.ranges, cancellation) if plan.ranges else []
        reader = InputReader(order, plan, fetched)
        return Prepared(order, cancellation, model, reader, load_us, _microseconds_since(started_ns))
    except Cancelled:
        return _receipt(order, [_stopped(subtask, cancellation) for subtask in order.subtasks])
    except LoadFailed as error:
        return _failed(order, error.code, str(error))
    except TransferFailed as error:
        return _failed(order, f"model_{error.code}", str(error))
    except Invalid as error:
        return _failed(order, "invalid_card", error.detail)


def run_prepared(prepared: Prepared, transfer: Transfer) -> Receipt:
    """Run the subtasks in order, upload what is too large to ride along, and tell what became of each."""
    run = _OrderRun(prepared, transfer)
    outcomes = [run.outcome(subtask) for subtask in prepared.order.subtasks]
    receipts = [
        outcome if isinstance(outcome, SubtaskReceipt) else outcome.receipt(prepared.cancellation) for outcome in outcomes
    ]
    return _receipt(prepared.order, receipts, prepared.load_us, prepared.fetch_us)


@dataclass(frozen=True, slots=True)
class _Uploading:
    """A subtask whose output is on its way to the store."""

    subtask: SubtaskOrder
    run_us: int
    frame: bytes
    item_errors: tuple[ItemError, ...]
    upload: "Future[None]"

    def receipt(self, cancellation: Cancellation) -> SubtaskReceipt:
        """Wait for the upload."""
        try:
            self.upload.result()
        except Cancelled:
            return _stopped(self.subtask, cancellation)
        except TransferFailed as error:
            return _undone(self.subtask, "failed", error.code, str(error))
        header = self.frame[: decode_header(self.frame).header_bytes]
        digest = hashlib.sha256(self.frame).digest()
        return SubtaskReceipt(
            self.subtask.id, self.subtask.fence, "done", self.run_us, None, header, len(self.frame), digest, self.item_errors
        )


class _OrderRun:
    """The run of one order."""

    def __init__(self, prepared: Prepared, transfer: Transfer):
        self._order = prepared.order
        self._model = prepared.model
        self._reader = prepared.reader
        self._cancellation = prepared.cancellation
        self._transfer = transfer
        self._outputs = list(prepared.order.model.outputs)
        self._options = onnxruntime.RunOptions()
        self._options.log_severity_level = 4  # an error is told in the receipt, not on the owner's terminal
        self._inline_bytes = 0
        self._item_errors = 0
        prepared.cancellation.stops(self._options)

    def outcome(self, subtask: SubtaskOrder) -> SubtaskReceipt | _Uploading:
        """Run one subtask."""
        started_ns = time.perf_counter_ns()
        try:
            self._cancellation.check()
            frame, item_errors = self._output_of(subtask)
            return self._delivery(subtask, frame, item_errors, max(1, _microseconds_since(started_ns)))
        except Cancelled:
            return _stopped(subtask, self._cancellation)
        except TransferFailed as error:
            return _undone(subtask, "failed", error.code, str(error))
        except BadPayload as error:
            return _undone(subtask, "refused", "invalid_input", str(error))
        except Refused as error:
            return _undone(subtask, "refused", error.code, str(error))
        except Exception as error:
            # Anything else that ONNX Runtime or memory may come up with; the next subtask has its own chance.
            if self._cancellation.is_set:
                return _stopped(subtask, self._cancellation)
            return _undone(subtask, "failed", _code_of(error), f"{type(error).__name__}: {error}")

    def _output_of(self, subtask: SubtaskOrder) -> tuple[bytes, list[ItemError]]:
        inputs = [self._reader.items(wanted) for wanted in subtask.inputs if not wanted.broadcast]
        constant = {w.name: self._reader.broadcast(w, self._model) for w in subtask.inputs if w.broadcast}
        if any(i.count != subtask.item_count for i in inputs) or not inputs:
            raise Refused("invalid_input", f"the inputs do not all have {subtask.item_count} items")
        pieces: dict[str, list[Array]] = {name: [] for name in self._outputs}
        errors: list[ItemError] = []
        start = 0
        while start < subtask.item_count:
            self._cancellation.check()
            stop = start + self._batch_items(subtask.item_count - start)
            feeds, good, failed = self._feeds(inputs, start, stop)
            errors += failed
            if good:
                for name, value in self._run({**feeds, **constant}, good).items():
                    pieces[name].append(value)
            start = stop
        for name, rows in pieces.items():
            if not rows:
                rows.append(self._no_rows(name))
        try:
            return encode_frame(pieces), errors
        except BadFrame as error:
            raise Refused("invalid_output", str(error)) from error

    def _batch_items(self, remaining: int) -> int:
        model = self._order.model
        if model.batch_fixed:
            return min(model.batch_items_max, remaining)
        if not model.batchable or remaining == 1:
            return 1
        return min(self._model.batch.next(remaining), model.batch_items_max)

    def _feeds(self, inputs: Sequence[InputItems], start: int, stop: int) -> tuple[dict[str, Array], int, list[ItemError]]:
        """The arrays of one batch, how many items are in it, and the items that failed and are not."""
        arrays: dict[str, Array] = {}
        failed: dict[int, ItemError] = {}
        for source in inputs:
            arrays[source.name], errors = source.take(start, stop, self._model)
            for error in errors:
                failed.setdefault(error.index, error)
        count = stop - start
        if failed:
            kept = [row for row in range(count) if start + row not in failed]
            arrays = {name: array[kept] for name, array in arrays.items()}
            count = len(kept)
        if self._order.model.batch_fixed and 0 < count < self._order.model.batch_items_max:
            arrays = {name: _padded(array, self._order.model.batch_items_max) for name, array in arrays.items()}
        return arrays, count, [failed[index] for index in sorted(failed)]

    def _run(self, feeds: dict[str, Array], good: int) -> dict[str, Array]:
        started = time.perf_counter()
        try:
            values = self._model.run(self._outputs, feeds, self._options)
        except (ort_errors.InvalidArgument, ValueError) as error:
            self._cancellation.check()
            raise Refused("invalid_input", str(error)) from error
        self._model.batch.observe(good, time.perf_counter() - started)
        return {name: self._rows(name, value, good) for name, value in zip(self._outputs, values, strict=True)}

    def _rows(self, name: str, value: Any, good: int) -> Array:
        if not isinstance(value, np.ndarray):
            raise Refused("invalid_output", f"output {name!r} is no tensor")
        model = self._order.model
        if model.batch_items_max == 1 or not (model.batchable or model.batch_fixed):
            shape = model.outputs[name]["shape"]
            has_item_axis = bool(shape) and shape[0] in {None, 1} and value.ndim > 0 and len(value) == 1
            return value if has_item_axis else value[None]
        fed = model.batch_items_max if model.batch_fixed else good
        if not value.ndim or len(value) != fed:
            raise Refused("invalid_output", f"output {name!r} has shape {list(value.shape)} for {fed} items")
        return value[:good]

    def _no_rows(self, name: str) -> Array:
        spec = self._order.model.outputs[name]
        return np.empty((0, *[n if isinstance(n, int) else 0 for n in spec["shape"][1:]]), np.dtype(spec["dtype"]))

    def _delivery(
        self, subtask: SubtaskOrder, frame: bytes, item_errors: list[ItemError], run_us: int
    ) -> SubtaskReceipt | _Uploading:
        self._item_errors += len(item_errors)
        if self._item_errors > ITEM_ERRORS_MAX:
            raise Refused("too_many_item_errors", f"more than {ITEM_ERRORS_MAX} items of this order failed")
        errors = tuple(item_errors)
        if len(frame) <= self._order.inline_output_bytes_max:
            if self._inline_bytes + len(frame) <= INLINE_BYTES_MAX:
                self._inline_bytes += len(frame)
                return SubtaskReceipt(subtask.id, subtask.fence, "done", run_us, frame, item_errors=errors)
            if subtask.output_url is None:
                # Not this subtask's fault: it goes back to the queue and fits into the next receipt.
                return _undone(subtask, "cancelled", "receipt_full", "the receipt of this order has no room left")
        if subtask.output_url is None:
            limit = self._order.inline_output_bytes_max
            return _undone(subtask, "failed", "output_too_large", f"{len(frame)} bytes, {limit} ride along, and no URL was given")
        upload = self._transfer.put_soon(subtask.output_url, frame, self._cancellation)
        return _Uploading(subtask, run_us, frame, errors, upload)


def _padded(array: Array, rows: int) -> Array:
    # Repeating a real item keeps the padding inside the values that the model knows.
    padded = np.empty((rows, *array.shape[1:]), array.dtype)
    padded[: len(array)] = array
    padded[len(array) :] = array[-1]
    return padded


def _code_of(error: Exception) -> str:
    text = str(error).lower()
    if isinstance(error, MemoryError) or "bad_alloc" in text or "allocate memory" in text or "out of memory" in text:
        return "out_of_memory"
    return "run_failed"


def _stopped(subtask: SubtaskOrder, cancellation: Cancellation) -> SubtaskReceipt:
    if cancellation.reason == TIMEOUT:
        return _undone(subtask, "failed", "order_timeout", "the order took longer than it may")
    return _undone(subtask, "cancelled", "cancelled", cancellation.reason)


def _undone(subtask: SubtaskOrder, status: str, code: str, detail: str) -> SubtaskReceipt:
    return SubtaskReceipt(
        subtask.id, subtask.fence, status, 0, error_code=code, error_detail=detail[:DETAIL_CHARACTERS_MAX]
    )  # fmt: skip


def _failed(order: Order, code: str, detail: str) -> Receipt:
    return Receipt(order.id, (), 0, 0, code, detail[:DETAIL_CHARACTERS_MAX])


def _receipt(order: Order, subtasks: Sequence[SubtaskReceipt], load_us: int = 0, fetch_us: int = 0) -> Receipt:
    return Receipt(order.id, tuple(subtasks), load_us, fetch_us)


def _microseconds_since(started_ns: int) -> int:
    return (time.perf_counter_ns() - started_ns) // 1000
