import asyncio
import json
import threading
from dataclasses import replace

import numpy as np
import pytest

from fabric.actors.house import RULES
from fabric.actors.messages import decode_pong, decode_receipt, encode_cancel, encode_order
from fabric.actors.provider_actor import ORDERS_MAX, ProviderActor
from fabric.actors.sessions import CPU
from fabric.codecs.frame import decode_frame
from fabric.core.ids import OrderId
from tests.fixtures import onnx_models
from tests.fixtures.orders import a_subtask

ITEMS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


@pytest.fixture
def actor():
    actor = ProviderActor(CPU, 1)
    yield actor
    actor.close()


async def told(actor, wanted) -> None:
    """Ping until the pong is as wanted."""
    while not wanted(decode_pong(await actor.ping())):
        await asyncio.sleep(0)


async def test_bytes_in_bytes_out(actor, orders, affine_model):
    model = orders.model(affine_model)
    order = orders.order(model, a_subtask("x", *orders.rows(ITEMS)))
    receipt = decode_receipt(await actor.run(encode_order(order)))
    assert receipt.order_id == order.id
    np.testing.assert_allclose(decode_frame(receipt.subtasks[0].output)["y"], 2 * ITEMS + 1, rtol=1e-6)
    pong = decode_pong(await actor.ping(b"anything"))
    assert (pong.order_ids, pong.models) == ((), (model.sha256,))
    assert pong.busy_s > 0


@pytest.mark.parametrize("frame", [b"", b"noise", b"\x80\x04K\x01."])
async def test_noise_is_answered_not_raised(actor, frame):
    assert decode_receipt(await actor.run(frame)).error_code == "bad_frame"
    assert decode_pong(await actor.cancel(frame)).order_ids == ()


async def test_the_next_order_is_fetched_while_the_present_one_runs(actor, orders, affine_model):
    # Given an order that runs until it is given up
    slow = orders.model(onnx_models.slow(multiplications=300_000_000))
    present = orders.order(slow, a_subtask("x", *orders.rows(np.ones((1, 64), np.float32))))
    running = asyncio.create_task(actor.run(encode_order(present)))
    await told(actor, lambda pong: slow.sha256 in pong.models)
    # When a second one comes, it is fetched and waits
    quick = orders.model(affine_model)
    arrived = threading.Event()
    orders.http.on_request = lambda: arrived.set() if orders.http.requests[-1][1].startswith("rows") else None
    following = orders.order(quick, a_subtask("x", *orders.rows(ITEMS)))
    waiting = asyncio.create_task(actor.run(encode_order(following)))
    await asyncio.to_thread(arrived.wait)
    pong = decode_pong(await actor.ping())
    assert set(pong.order_ids) == {present.id, following.id}
    assert not waiting.done()
    # Then giving up the first lets the second run
    await actor.cancel(encode_cancel([present.id, bytes(16)]))
    assert [s.status for s in decode_receipt(await running).subtasks] == ["cancelled"]
    assert [s.status for s in decode_receipt(await waiting).subtasks] == ["done"]


async def test_an_order_that_takes_too_long_is_told_as_that(actor, orders):
    model = orders.model(onnx_models.slow(multiplications=300_000_000))
    order = orders.order(model, a_subtask("x", *orders.rows(np.ones((1, 64), np.float32))), timeout_s=0.05)
    receipt = decode_receipt(await actor.run(encode_order(order)))
    assert [(s.status, s.error_code) for s in receipt.subtasks] == [("failed", "order_timeout")]


async def test_more_orders_than_a_slot_holds_are_refused(actor, orders):
    slow = orders.model(onnx_models.slow(multiplications=300_000_000))
    rows = orders.rows(np.ones((1, 64), np.float32))
    outstanding = [orders.order(slow, a_subtask("x", *rows)) for _ in range(ORDERS_MAX)]
    running = [asyncio.create_task(actor.run(encode_order(order))) for order in outstanding]
    await told(actor, lambda pong: len(pong.order_ids) == ORDERS_MAX)
    for refused in (orders.order(slow, a_subtask("x", *rows)), outstanding[0]):
        assert decode_receipt(await actor.run(encode_order(refused))).error_code == "refused"
    await actor.cancel(encode_cancel([order.id for order in outstanding]))
    receipts = [decode_receipt(frame) for frame in await asyncio.gather(*running)]
    assert {s.status for receipt in receipts for s in receipt.subtasks} == {"cancelled"}


async def test_ping_and_cancel_answer_from_another_event_loop_while_an_order_runs(actor, orders):
    # Ray gives each concurrency group an event loop of its own.
    model = orders.model(onnx_models.slow(multiplications=300_000_000))
    order = orders.order(model, a_subtask("x", *orders.rows(np.ones((1, 64), np.float32))))
    running = asyncio.create_task(actor.run(encode_order(order)))
    await told(actor, lambda pong: model.sha256 in pong.models)
    pong = decode_pong(await asyncio.to_thread(lambda: asyncio.run(actor.cancel(encode_cancel([order.id])))))
    assert pong.order_ids in {(order.id,), ()}
    assert decode_receipt(await running).subtasks[0].status == "cancelled"


async def test_a_slot_keeps_to_the_rules_of_the_house(tmp_path, orders, affine_model):
    # Given an owner who wants a log, and lets models lie on the disk
    log = tmp_path / "work.jsonl"
    rules = {"work_log": str(log), "bytes_per_s": None, "memory_bytes": 2**30, "disk_bytes": 10**6}
    (tmp_path / RULES).write_text(json.dumps(rules))
    model = orders.model(affine_model)
    made = [orders.order(model, a_subtask("x", *orders.rows(ITEMS))) for _ in range(2)]
    # When two slots, one after the other, run an order of one model
    for order in made:
        slot = ProviderActor(CPU, 1, home=tmp_path)
        assert decode_receipt(await slot.run(encode_order(order))).subtasks[0].status == "done"
        slot.close()
    # Then the model was fetched once, and both orders are in the log
    assert [name for _, name, _ in orders.http.requests].count("model-1") == 1
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["model"], line["items"], line["outcome"]) for line in lines] == [(model.sha256, 6, {"done": 1})] * 2
    assert [line["order"] for line in lines] == [str(OrderId(bytes=order.id)) for order in made]
    # And an order that came to nothing is there too
    orders.http.objects.clear()
    other = ProviderActor(CPU, 1, home=tmp_path)
    gone = orders.order(replace(model, sha256="0" * 64), a_subtask("x", *orders.rows(ITEMS)))
    await other.run(encode_order(gone))
    other.close()
    assert json.loads(log.read_text().splitlines()[-1])["errors"] == ["model_fetch_refused"]
