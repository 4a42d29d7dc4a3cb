"""One order from start to receipt: fetch, have it computed, upload.

`prepare_order` fetches and loads; `run_prepared` has the runner decode, run and encode. A slot prepares its next order while it runs the present one. Whatever
goes wrong with a subtask is told in its receipt and leaves its neighbours alone.
"""

import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from fabric.actors.cancellation import Cancellation, Cancelled
from fabric.actors.gather import Layout, lay_out, placed, plan_fetches
from fabric.actors.messages import DETAIL_CHARACTERS_MAX, ItemError, Order, Receipt, SubtaskOrder, SubtaskReceipt
from fabric.actors.sessions import LoadFailed, SessionCache
from fabric.actors.transfer import Transfer, TransferFailed
from fabric.codecs.frame import HEADER_BYTES_MAX, BadFrame, decode_header
from fabric.sandbox.life import Lost
from fabric.sandbox.memory import Block
from fabric.sandbox.messages import Answer, ModelForm
from fabric.sandbox.process import InvalidForm, NotLoaded

INLINE_BYTES_MAX = 6 * 1024 * 1024  # of all outputs in one receipt; the rest of the 8 MiB is for errors and headers
ITEM_ERRORS_MAX = 20_000  # in one receipt
RUNS_MAX = 3  # of one order, when its runner loses the model
TIMEOUT = "timeout"  # the Cancellation's reason when an order took too long


class _OrderFailed(Exception):
    """Nothing of this order was or will be done."""

    def __init__(self, code: str, detail: str):
        self.code = code
        super().__init__(detail)


@dataclass(frozen=True, slots=True)
class Prepared:
    """An order with everything it needs at hand."""

    order: Order
    cancellation: Cancellation
    sessions: SessionCache
    inputs: Block
    layout: Layout
    failures: dict[int, TransferFailed]  # id(part) -> why it could not be fetched
    load_us: int
    fetch_us: int


def run_order(order: Order, sessions: SessionCache, transfer: Transfer, cancellation: Cancellation) -> Receipt:
    """One order from start to receipt. Never raises for what may happen on a good day or a bad one."""
    prepared = prepare_order(order, sessions, transfer, cancellation)
    return prepared if isinstance(prepared, Receipt) else run_prepared(prepared, transfer)


def prepare_order(order: Order, sessions: SessionCache, transfer: Transfer, cancellation: Cancellation) -> Prepared | Receipt:
    """Load the model and fetch the inputs; a receipt when that is already the end of it."""
    try:
        load_us = _load(order, sessions, transfer, cancellation)
        started_ns = time.perf_counter_ns()
        plan = plan_fetches(order)
        layout = lay_out(order, plan)
        inputs = _room_for_inputs(layout, sessions)
        for offset, data in layout.inline:
            inputs.view[offset : offset + len(data)] = data
        places = [inputs.view[begin:end] for begin, end in layout.ranges]
        fetched = transfer.fetch_all(plan.ranges, cancellation, places) if places else []
        failed = {index: failure for index, failure in enumerate(fetched) if isinstance(failure, TransferFailed)}
        failures = {part: failed[index] for part, (index, _) in plan.places.items() if index in failed}
        return Prepared(order, cancellation, sessions, inputs, layout, failures, load_us, _microseconds_since(started_ns))
    except Cancelled:
        return _receipt(order, [_stopped(subtask, cancellation) for subtask in order.subtasks])
    except _OrderFailed as error:
        return _failed(order, error.code, str(error))


def run_prepared(prepared: Prepared, transfer: Transfer) -> Receipt:
    """Run the subtasks in order, upload what is too large to ride along, and tell what became of each."""
    return _OrderRun(prepared, transfer).receipt()


def _load(order: Order, sessions: SessionCache, transfer: Transfer, cancellation: Cancellation) -> int:
    try:
        return sessions.load(order.model, transfer, cancellation)
    except LoadFailed as error:
        raise _OrderFailed(error.code, str(error)) from error
    except TransferFailed as error:
        raise _OrderFailed(f"model_{error.code}", str(error)) from error


def _room_for_inputs(layout: Layout, sessions: SessionCache) -> Block:
    try:
        return sessions.runner.blocks.take(layout.size)
    except (OSError, MemoryError, OverflowError, ValueError) as error:
        raise _OrderFailed("inputs_too_large", f"there is no room for {layout.size} bytes of inputs") from error


@dataclass(frozen=True, slots=True)
class _Uploading:
    """A subtask whose output is on its way to the store."""

    subtask: SubtaskOrder
    run_us: int
    frame: memoryview  # in memory that the runner sees too
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
        prefix = bytes(self.frame[: HEADER_BYTES_MAX + 16])
        try:
            header = prefix[: decode_header(prefix).header_bytes]
        except BadFrame as error:
            return _undone(self.subtask, "failed", "runner_broken", str(error))
        digest = hashlib.sha256(self.frame).digest()
        return SubtaskReceipt(
            self.subtask.id, self.subtask.fence, "done", self.run_us, None, header, len(self.frame), digest, self.item_errors
        )


class _OrderRun:
    """The run of one order."""

    def __init__(self, prepared: Prepared, transfer: Transfer):
        self._prepared = prepared
        self._order = prepared.order
        self._cancellation = prepared.cancellation
        self._runner = prepared.sessions.runner
        self._transfer = transfer
        self._outputs: list[Block] = []
        self._inline_bytes = 0
        self._item_errors = 0

    def receipt(self) -> Receipt:
        """Run everything, wait for the uploads."""
        try:
            receipts = [
                outcome if isinstance(outcome, SubtaskReceipt) else outcome.receipt(self._cancellation)
                for outcome in self._outcomes()
            ]
            return _receipt(self._order, receipts, self._prepared.load_us, self._prepared.fetch_us)
        except Cancelled:
            return _receipt(self._order, [_stopped(subtask, self._cancellation) for subtask in self._order.subtasks])
        except _OrderFailed as error:
            return _failed(self._order, error.code, str(error))
        finally:
            for block in (*self._outputs, self._prepared.inputs):
                self._runner.give_back(block)

    def _outcomes(self) -> list[SubtaskReceipt | _Uploading]:
        outcomes = [self._unfetched(subtask) for subtask in self._order.subtasks]
        waiting = [index for index, outcome in enumerate(outcomes) if outcome is None]
        for turn in range(RUNS_MAX):
            try:
                done = self._run([self._order.subtasks[index] for index in waiting])
                break
            except NotLoaded:
                if turn + 1 < RUNS_MAX:
                    # Its runner was lost, or had to make room, since the order was prepared.
                    _load(self._order, self._prepared.sessions, self._transfer, self._cancellation)
        else:
            raise _OrderFailed("runner_lost", "the runner lost the model again and again")
        for index, outcome in zip(waiting, done, strict=True):
            outcomes[index] = outcome
        return [outcome for outcome in outcomes if outcome is not None]

    def _unfetched(self, subtask: SubtaskOrder) -> SubtaskReceipt | _Uploading | None:
        for part in (part for wanted in subtask.inputs for part in wanted.parts):
            if (failure := self._prepared.failures.get(id(part))) is not None:
                return _undone(subtask, "failed", failure.code, str(failure))
        return None

    def _run(self, subtasks: list[SubtaskOrder]) -> list[SubtaskReceipt | _Uploading]:
        if not subtasks:
            return []
        model = self._order.model
        form = ModelForm(
            model.sha256, model.inputs, model.outputs, model.batchable, model.batch_items_max, model.batch_fixed
        )  # fmt: skip
        work = [placed(subtask, self._prepared.layout) for subtask in subtasks]
        done: list[SubtaskReceipt | _Uploading] = []
        self._cancellation.check()
        started_ns = time.perf_counter_ns()
        try:
            for answer, frame in self._runner.run(form, work, self._prepared.inputs, self._outputs, self._cancellation):
                # By the parent's clock: what is inside may lie about the time as about anything else.
                run_us = max(1, _microseconds_since(started_ns))
                done.append(self._outcome(subtasks[len(done)], answer, frame, run_us))
                started_ns = time.perf_counter_ns()
        except InvalidForm as error:
            raise _OrderFailed("invalid_card", str(error)) from error
        except Lost as lost:
            done += self._lost(subtasks[len(done) :], lost)
        return done

    def _lost(self, subtasks: list[SubtaskOrder], lost: Lost) -> list[SubtaskReceipt | _Uploading]:
        if self._cancellation.is_set:
            return [_stopped(subtask, self._cancellation) for subtask in subtasks]
        # The one that ran has failed; those behind it never began, so they go back to the queue.
        behind = [_undone(subtask, "cancelled", "runner_lost", str(lost)) for subtask in subtasks]
        if subtasks and lost.status != "stopped":
            behind[0] = _undone(subtasks[0], lost.status, lost.code, str(lost))
        return list(behind)

    def _outcome(self, subtask: SubtaskOrder, answer: Answer, frame: memoryview, run_us: int) -> SubtaskReceipt | _Uploading:
        if answer.status == "stopped" or (answer.status != "done" and self._cancellation.is_set):
            return _stopped(subtask, self._cancellation)
        if answer.status != "done":
            return _undone(subtask, answer.status, answer.code, answer.detail)
        return self._delivery(subtask, frame, tuple(ItemError(*error) for error in answer.item_errors), run_us)

    def _delivery(
        self, subtask: SubtaskOrder, frame: memoryview, errors: tuple[ItemError, ...], run_us: int
    ) -> SubtaskReceipt | _Uploading:
        self._item_errors += len(errors)
        if self._item_errors > ITEM_ERRORS_MAX:
            return _undone(subtask, "refused", "too_many_item_errors", f"more than {ITEM_ERRORS_MAX} items of this order failed")
        if len(frame) <= self._order.inline_output_bytes_max:
            if self._inline_bytes + len(frame) <= INLINE_BYTES_MAX:
                self._inline_bytes += len(frame)
                return SubtaskReceipt(subtask.id, subtask.fence, "done", run_us, bytes(frame), item_errors=errors)
            if subtask.output_url is None:
                # Not this subtask's fault: it goes back to the queue and fits into the next receipt.
                return _undone(subtask, "cancelled", "receipt_full", "the receipt of this order has no room left")
        if subtask.output_url is None:
            limit = self._order.inline_output_bytes_max
            return _undone(subtask, "failed", "output_too_large", f"{len(frame)} bytes, {limit} ride along, and no URL was given")
        upload = self._transfer.put_soon(subtask.output_url, frame, self._cancellation)
        return _Uploading(subtask, run_us, frame, errors, upload)


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
