"""A runner is lost in every way it can be: one attempt is lost with it, and nothing else."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from fabric.actors.cancellation import Cancellation
from fabric.actors.execute import TIMEOUT, prepare_order, run_order, run_prepared
from fabric.actors.messages import decode_order, encode_order
from fabric.actors.sessions import CPU, SessionCache
from fabric.actors.transfer import Transfer
from fabric.codecs.frame import decode_frame
from fabric.sandbox import launch
from fabric.sandbox.process import Runner
from tests.fixtures import descriptors, lying_runner, onnx_models
from tests.fixtures.orders import a_subtask

ITEMS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
GIB = 1024**3


def eater() -> bytes:
    """y = the sum of as many ones as the input says: 104 bytes that may take any memory."""
    return onnx_models.model_of(
        [
            helper.make_node("Cast", ["x"], ["count"], to=TensorProto.INT64),
            helper.make_node("ConstantOfShape", ["count"], ["ones"], value=numpy_helper.from_array(np.ones(1, np.float32))),
            helper.make_node("ReduceSum", ["ones"], ["y"], keepdims=1),
        ],
        {"x": [1]}, {"y": [1]},
    )  # fmt: skip


def glutton() -> bytes:
    """Has a constant of 4 GB, which is not in the file."""
    return onnx_models.model_of(
        [
            helper.make_node("ConstantOfShape", ["count"], ["ones"], value=numpy_helper.from_array(np.ones(1, np.float32))),
            helper.make_node("ReduceSum", ["ones"], ["sum"], keepdims=0),
            helper.make_node("Mul", ["x", "sum"], ["y"]),
        ],
        {"x": ["N", 4]}, {"y": ["N", 4]}, {"count": np.array([GIB], np.int64)},
    )  # fmt: skip


def hoarder(width: int = 64) -> bytes:
    """Holds as many ones as the first item says while it computes for minutes."""
    body = onnx_models.loop_body()
    return onnx_models.model_of(
        [
            helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
            helper.make_node("Cast", ["largest"], ["whole"], to=TensorProto.INT64),
            helper.make_node("Reshape", ["whole", "one"], ["count"]),
            helper.make_node("ConstantOfShape", ["count"], ["ones"], value=numpy_helper.from_array(np.ones(1, np.float32))),
            helper.make_node("ReduceMax", ["ones"], ["unit"], keepdims=0),
            helper.make_node("Mul", ["x", "unit"], ["start"]),
            helper.make_node("Loop", ["steps", "go", "start"], ["turned"], body=body),
            helper.make_node("ReduceSum", ["ones"], ["sum"], keepdims=0),
            helper.make_node("Add", ["turned", "sum"], ["y"]),
        ],
        {"x": ["N", width]}, {"y": ["N", width]},
        {
            "steps": np.array(300_000_000), "go": np.array(True), "rotation": np.eye(width, dtype=np.float32), "one": np.array([1]),
        },
    )  # fmt: skip


def stubborn(boxes: int = 200_000) -> bytes:
    """One node that computes for minutes and asks nobody whether it should: boxes that all lie apart, each compared with each."""
    corners = np.arange(boxes, dtype=np.float32)[None, :, None] * 2 + np.array([0, 0, 1, 1], np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["x", "form"], ["scores"]),
            helper.make_node("NonMaxSuppression", ["corners", "scores", "most", "overlap"], ["y"]),
        ],
        "stubborn",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, boxes])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [None, 3])],
        [
            numpy_helper.from_array(value, name)
            for name, value in {
                "form": np.array([1, 1, boxes]), "corners": corners, "most": np.array([boxes]), "overlap": np.array([0.5], np.float32),
            }.items()
        ],
    )  # fmt: skip
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString())


@pytest.fixture(params=[launch.SANDBOX, launch.PROCESS])
def isolation(request, monkeypatch):
    """Both ways in which models run."""
    if request.param == launch.PROCESS:
        monkeypatch.setenv("FABRIC_SANDBOX", launch.PROCESS)
    for known in (launch.isolation, launch.why_no_sandbox):
        known.cache_clear()
    assert launch.isolation() == request.param
    yield request.param
    for known in (launch.isolation, launch.why_no_sandbox):
        known.cache_clear()


class Slot:
    """A slot without its actor, in a gigabyte of memory."""

    def __init__(self, memory_bytes: int = GIB) -> None:
        self.sessions = SessionCache(CPU, 1, memory_bytes=memory_bytes)
        self.transfer = Transfer(pause_s=0.001)
        self.runner = self.sessions.runner

    def close(self) -> None:
        self.transfer.close()
        self.sessions.close()

    def run(self, order, cancellation=None):
        return run_order(decode_order(encode_order(order)), self.sessions, self.transfer, cancellation or Cancellation())

    def prepare(self, order):
        return prepare_order(decode_order(encode_order(order)), self.sessions, self.transfer, Cancellation())

    @property
    def pid(self) -> int:
        """Of the present child."""
        return self.runner.life.child.process.pid

    def kill(self) -> None:
        """As the kernel would, when memory is short."""
        child = self.runner.life.child
        child.kill()
        child.process.wait(10)

    def when_computing(self, act) -> threading.Thread:
        """Do something as soon as a run really uses the processor."""

        def wait() -> None:
            while not self.runner.is_running:
                time.sleep(0)
            child = self.runner.life.child
            used = child.processor_s()
            while child.processor_s() < used + 0.1:
                time.sleep(0)
            act()

        thread = threading.Thread(target=wait)
        thread.start()
        return thread


@pytest.fixture
def slot(isolation):
    slot = Slot()
    yield slot
    slot.close()


def told(receipt) -> list[tuple[str, str]]:
    return [(subtask.status, subtask.error_code) for subtask in receipt.subtasks]


def is_well(slot, orders) -> bool:
    """An honest order is done now."""
    model = orders.model(onnx_models.affine())
    receipt = slot.run(orders.order(model, a_subtask("x", *orders.rows(ITEMS))))
    np.testing.assert_allclose(decode_frame(receipt.subtasks[0].output)["y"], 2 * ITEMS + 1, rtol=1e-6)
    return True


def an_endless_order(orders):
    model = orders.model(onnx_models.slow(multiplications=300_000_000))
    return orders.order(model, *(a_subtask("x", p) for p in orders.split(np.ones((2, 64), np.float32), [1, 1])))


def test_a_model_that_eats_memory_is_ended_by_the_limit_and_the_receipt_says_so(slot, orders):
    model = orders.model(eater(), batchable=False, batch_items_max=1)
    counts = (np.array([count], np.float32) for count in (8, GIB, 8))
    order = orders.order(model, *(a_subtask("x", *orders.rows(count)) for count in counts))
    receipt = slot.run(order)
    assert told(receipt) == [("done", ""), ("failed", "memory_limit"), ("done", "")]
    assert is_well(slot, orders)


def test_a_constant_that_eats_memory_is_no_better(slot, orders):
    receipt = slot.run(orders.order(orders.model(glutton()), a_subtask("x", *orders.rows(ITEMS))))
    assert told(receipt) == [("failed", "memory_limit")]
    assert is_well(slot, orders)


def test_memory_is_watched_where_the_kernel_does_not_limit_it(orders):
    # Given a runner that the kernel allows more than it may have, as where drivers map more than they use
    slot = Slot(4 * GIB)
    assert is_well(slot, orders)
    slot.runner._memory_bytes = GIB // 2
    # When a model takes a gigabyte and keeps it
    item = np.full((1, 64), GIB // 4, np.float32)
    try:
        receipt = slot.run(orders.order(orders.model(hoarder()), a_subtask("x", *orders.rows(item))))
        assert told(receipt) == [("failed", "memory_limit")]
        assert "512 MiB are allowed" in receipt.subtasks[0].error_detail
        assert is_well(slot, orders)
    finally:
        slot.close()


@pytest.mark.parametrize(("reason", "expected"), [("", ("cancelled", "cancelled")), (TIMEOUT, ("failed", "order_timeout"))])
def test_a_run_that_does_not_stop_is_ended_with_its_runner(slot, orders, reason, expected):
    boxes = 200_000
    model = orders.model(stubborn(boxes), batchable=False, batch_items_max=1)
    order = orders.order(model, a_subtask("x", *orders.rows(np.ones((1, boxes), np.float32))))
    cancellation = Cancellation()
    before = slot.pid
    canceller = slot.when_computing(lambda: cancellation.cancel(reason))
    receipt = slot.run(order, cancellation)
    canceller.join()
    assert told(receipt) == [expected]
    assert slot.pid != before
    assert is_well(slot, orders)


def test_a_run_that_stops_when_asked_keeps_its_runner(slot, orders):
    assert is_well(slot, orders)
    cancellation = Cancellation()
    before = slot.pid
    canceller = slot.when_computing(cancellation.cancel)
    assert told(slot.run(an_endless_order(orders), cancellation)) == [("cancelled", "cancelled")] * 2
    canceller.join()
    assert slot.pid == before
    assert is_well(slot, orders)


def test_a_runner_killed_under_an_order_loses_the_subtask_that_ran_and_nothing_else(slot, orders):
    killer = slot.when_computing(slot.kill)
    receipt = slot.run(an_endless_order(orders))
    killer.join()
    assert told(receipt) == [("failed", "memory_limit"), ("cancelled", "runner_lost")]
    assert is_well(slot, orders)


def test_a_runner_that_crashes_is_told_from_one_without_memory(slot, orders):
    def crash() -> None:
        os.kill(slot.runner.life.child._found().pid, signal.SIGSEGV)

    crasher = slot.when_computing(crash)
    assert told(slot.run(an_endless_order(orders)))[0] == ("failed", "runner_died")
    crasher.join()
    assert is_well(slot, orders)


def test_orders_that_wait_outlive_the_runner_that_they_were_prepared_for(slot, orders):
    order = orders.order(orders.model(onnx_models.affine()), a_subtask("x", *orders.rows(ITEMS)))
    prepared = slot.prepare(order)
    before = slot.pid
    slot.kill()
    receipt = run_prepared(prepared, slot.transfer)
    assert told(receipt) == [("done", "")]
    assert slot.pid != before


def test_a_runner_that_died_while_nothing_ran_is_not_missed(slot, orders):
    assert is_well(slot, orders)
    slot.kill()
    assert is_well(slot, orders)


def test_no_child_and_no_descriptor_is_left_behind(isolation, orders):
    def a_life() -> Slot:
        slot = Slot()
        assert is_well(slot, orders)
        slot.kill()
        assert is_well(slot, orders)
        slot.close()
        return slot

    a_life()
    before = descriptors.count()
    child = a_life().runner._life.child
    assert child.process.returncode is not None
    assert descriptors.settles_at(before)


@pytest.mark.parametrize("lie", ["at the load", "asks for ever", "a giant", "a break", "absent", *lying_runner.LIES])
def test_a_runner_that_lies_is_not_believed_and_replaced(orders, lie):
    sessions = SessionCache(CPU, 1, memory_bytes=GIB)
    sessions.runner.close()
    sessions.runner = Runner(lie, 1, memory_bytes=GIB, program=str(Path(lying_runner.__file__)))
    transfer = Transfer(pause_s=0.001)
    model = orders.model(onnx_models.affine())
    order = orders.order(model, *(a_subtask("x", p) for p in orders.split(ITEMS, [3, 3])))
    try:
        receipt = run_order(order, sessions, transfer, Cancellation())
    finally:
        transfer.close()
        sessions.close()
    undone = [subtask for subtask in receipt.subtasks if subtask.status != "done"]
    assert undone or receipt.error_code
    assert {receipt.error_code, *(s.error_code for s in undone)} <= {"", "runner_broken", "runner_lost", "runner_died"}
