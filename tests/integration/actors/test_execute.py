import hashlib
import threading
import time

import numpy as np
import pytest

from fabric.actors.cancellation import Cancellation
from fabric.actors.execute import INLINE_BYTES_MAX, TIMEOUT, run_order
from fabric.actors.messages import (
    InputOrder,
    Part,
    Receipt,
    SubtaskOrder,
    decode_order,
    decode_receipt,
    encode_order,
    encode_receipt,
)
from fabric.actors.sessions import CPU, SessionCache
from fabric.actors.transfer import Transfer
from fabric.codecs.frame import decode_frame, decode_header, frame_matches
from fabric.codecs.pictures import encode_png
from tests.fixtures import onnx_models
from tests.fixtures.orders import a_subtask

ITEMS = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)


class Slot:
    """A slot without its actor: orders and receipts go through their wire format."""

    def __init__(self) -> None:
        self.sessions = SessionCache(CPU, 1)
        self.transfer = Transfer(pause_s=0.001)

    def close(self) -> None:
        self.transfer.close()
        self.sessions.close()

    def run(self, order, cancellation: Cancellation | None = None) -> Receipt:
        receipt = run_order(decode_order(encode_order(order)), self.sessions, self.transfer, cancellation or Cancellation())
        return decode_receipt(encode_receipt(receipt))


@pytest.fixture
def slot():
    slot = Slot()
    yield slot
    slot.close()


def outputs_of(receipt: Receipt, index: int = 0) -> dict[str, np.ndarray]:
    subtask = receipt.subtasks[index]
    assert subtask.status == "done", (subtask.error_code, subtask.error_detail)
    return decode_frame(subtask.output)


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("batch", [1, 3, 8])
def test_an_order_gives_each_subtasks_items_in_order(slot, orders, affine_model, inline, batch):
    model = orders.model(affine_model, batch_items_max=batch)
    subtasks = [a_subtask("x", part) for part in orders.split(ITEMS, [1, 7, 12], inline=inline)]
    receipt = slot.run(orders.order(model, *subtasks))
    assert [(s.id, s.fence) for s in receipt.subtasks] == [(s.id, s.fence) for s in subtasks]
    np.testing.assert_allclose(np.concatenate([outputs_of(receipt, i)["y"] for i in range(3)]), 2 * ITEMS + 1, rtol=1e-6)
    assert all(s.run_us > 0 for s in receipt.subtasks)
    assert frame_matches(decode_header(receipt.subtasks[1].output), model.outputs, 7) is None


def test_neighbouring_parts_are_fetched_with_one_request_and_a_model_is_loaded_once(slot, orders, affine_model):
    model = orders.model(affine_model)
    first, second = (
        slot.run(orders.order(model, *(a_subtask("x", p) for p in orders.split(ITEMS, [5, 5, 5, 5])))) for _ in range(2)
    )
    ranges = [(name.partition("-")[0], asked) for _, name, asked in orders.http.requests]
    assert ranges == [("model", f"bytes=0-{model.size - 1}"), ("rows", "bytes=128-447"), ("rows", "bytes=128-447")]
    assert first.load_us > 0
    assert second.load_us == 0
    assert slot.sessions.loaded == (model.sha256,)


def test_one_subtask_may_be_pieced_together_from_several_parts(slot, orders, affine_model):
    parts = [*orders.split(ITEMS[:5], [2, 3]), *orders.rows(ITEMS[5:9], inline=True), *orders.split(ITEMS[9:], [11])]
    receipt = slot.run(orders.order(orders.model(affine_model), a_subtask("x", *parts)))
    np.testing.assert_allclose(outputs_of(receipt)["y"], 2 * ITEMS + 1, rtol=1e-6)


def test_stored_bytes_are_scaled_on_the_slot(slot, orders, affine_model):
    items = np.arange(12, dtype=np.uint8).reshape(3, 4)
    model = orders.model(affine_model, {"x": {"codec": "tensor", "dtype": "uint8", "scale": 0.5, "mean": 1.0}})
    receipt = slot.run(orders.order(model, a_subtask("x", *orders.rows(items))))
    np.testing.assert_allclose(outputs_of(receipt)["y"], 2 * (items * 0.5 - 1) + 1)


def test_buffers_are_used_again_without_answers_running_into_each_other(slot, orders):
    items = np.arange(80, dtype=np.uint8).reshape(20, 4)
    model = orders.model(onnx_models.identity(), {"x": {"codec": "tensor", "dtype": "uint8"}}, batch_items_max=4)
    receipt = slot.run(orders.order(model, *(a_subtask("x", p) for p in orders.split(items, [10, 10]))))
    np.testing.assert_array_equal(np.concatenate([outputs_of(receipt, i)["y"] for i in (0, 1)]), items)


def test_a_model_that_mixes_its_batch_is_run_one_by_one(slot, orders):
    model = orders.model(onnx_models.centred(), batchable=False, batch_items_max=1)
    receipt = slot.run(orders.order(model, a_subtask("x", *orders.rows(ITEMS))))
    np.testing.assert_allclose(outputs_of(receipt)["y"], ITEMS)  # alone, an item is its own mean


def test_an_output_without_an_item_axis_gets_one(slot, orders):
    model = orders.model(onnx_models.total(), batchable=False, batch_items_max=1)
    receipt = slot.run(orders.order(model, a_subtask("x", *orders.rows(ITEMS))))
    np.testing.assert_allclose(outputs_of(receipt)["y"], ITEMS.sum(axis=1), rtol=1e-5)
    assert frame_matches(decode_header(receipt.subtasks[0].output), model.outputs, 20) is None


@pytest.mark.parametrize("count", [1, 3, 4, 7])
def test_the_last_batch_of_a_fixed_size_is_padded_and_the_padding_is_cut_off(slot, orders, count):
    model = orders.model(onnx_models.affine(batch=4), batch_fixed=True, batch_items_max=4)
    receipt = slot.run(orders.order(model, a_subtask("x", *orders.rows(ITEMS[:count]))))
    np.testing.assert_allclose(outputs_of(receipt)["y"], 2 * ITEMS[:count] + 1, rtol=1e-6)


def test_a_fixed_batch_of_one_is_fed_one_by_one(slot, orders):
    model = orders.model(onnx_models.affine(batch=1), batch_fixed=True, batch_items_max=1)
    receipt = slot.run(orders.order(model, a_subtask("x", *orders.rows(ITEMS[:3]))))
    np.testing.assert_allclose(outputs_of(receipt)["y"], 2 * ITEMS[:3] + 1, rtol=1e-6)


def test_a_broadcast_input_goes_whole_to_every_run(slot, orders):
    weights = np.array([1, 2, 3, 4], np.float32)
    shared = Part(1, "rows", data=weights.tobytes(), dtype="float32", shape=(4,))
    model = orders.model(onnx_models.weighted(), batch_items_max=3)
    receipt = slot.run(orders.order(model, a_subtask("x", *orders.rows(ITEMS), weights=shared)))
    np.testing.assert_allclose(outputs_of(receipt)["y"], ITEMS * weights, rtol=1e-6)


def test_a_corrupt_image_fails_alone_and_the_others_are_delivered(slot, orders):
    pictures = np.random.default_rng(2).integers(0, 256, (7, 8, 8, 3), dtype=np.uint8)
    files = [encode_png(p) for p in pictures]
    model = orders.model(onnx_models.convolution(), {"image": {"codec": "image"}}, batch_items_max=4)
    whole = outputs_of(slot.run(orders.order(model, a_subtask("image", orders.images(files)))))["y"]
    files[2], files[5] = b"no picture", files[5][:-80]
    receipt = slot.run(
        orders.order(model, a_subtask("image", orders.images(files)), a_subtask("image", orders.images(files[:1])))
    )
    assert [(e.index, e.code) for e in receipt.subtasks[0].item_errors] == [(2, "corrupt_image"), (5, "corrupt_image")]
    np.testing.assert_allclose(outputs_of(receipt)["y"], np.delete(whole, [2, 5], axis=0), rtol=1e-5)
    np.testing.assert_allclose(outputs_of(receipt, 1)["y"], whole[:1], rtol=1e-5)


def test_when_every_item_is_corrupt_the_answer_has_no_rows(slot, orders):
    model = orders.model(onnx_models.convolution(), {"image": {"codec": "image"}})
    receipt = slot.run(orders.order(model, a_subtask("image", orders.images([b"bad", b"worse"]))))
    assert outputs_of(receipt)["y"].shape == (0, 4)
    assert frame_matches(decode_header(receipt.subtasks[0].output), model.outputs, 0) is None
    assert len(receipt.subtasks[0].item_errors) == 2


def test_inputs_that_do_not_fit_are_refused_and_their_neighbours_run(slot, orders, affine_model):
    wrong = [
        a_subtask("x", *orders.rows(ITEMS.astype(np.complex64))),
        a_subtask("x", *orders.rows(ITEMS[:, :3])),
        a_subtask("z", *orders.rows(ITEMS)),
        a_subtask("x", *orders.rows(ITEMS), count=19),
        a_subtask("x", Part(20, "rows", data=b"short", dtype="float32", shape=(4,))),
        a_subtask("x", Part(20, "rows", dtype="float32", shape=(4,))),
        SubtaskOrder(bytes(16), 1, 1, ()),
        SubtaskOrder(bytes(16), 1, 1, (InputOrder("x", ()),)),
        SubtaskOrder(bytes(16), 1, 1, (InputOrder("x", tuple(orders.rows(ITEMS)), broadcast=True),)),
    ]
    right = a_subtask("x", *orders.rows(ITEMS))
    receipt = slot.run(orders.order(orders.model(affine_model), *wrong, right))
    assert [(s.status, s.error_code) for s in receipt.subtasks[:-1]] == [("refused", "invalid_input")] * len(wrong)
    assert all(s.run_us == 0 for s in receipt.subtasks[:-1])
    assert receipt.subtasks[-1].status == "done"


def test_a_card_that_lies_about_the_model_is_refused_by_the_runtime_and_told(slot, orders, affine_model):
    model = orders.model(affine_model)
    model.inputs["x"].update(dtype="float64")
    receipt = slot.run(orders.order(model, a_subtask("x", *orders.rows(ITEMS.astype(np.float64)))))
    assert (receipt.subtasks[0].status, receipt.subtasks[0].error_code) == ("refused", "invalid_input")


def test_a_part_that_cannot_be_fetched_fails_only_the_subtask_that_needs_it(slot, orders, affine_model):
    lost, kept = (a_subtask("x", *orders.rows(ITEMS)) for _ in range(2))
    del orders.http.objects[next(name for name in orders.http.objects if name.startswith("rows"))]
    receipt = slot.run(orders.order(orders.model(affine_model), lost, kept))
    assert [(s.status, s.error_code) for s in receipt.subtasks] == [("failed", "fetch_refused"), ("done", "")]


def test_an_output_that_is_too_large_to_ride_along_is_uploaded(slot, orders, affine_model):
    url = orders.http.url("output")
    subtask = a_subtask("x", *orders.rows(ITEMS), output_url=url)
    receipt = slot.run(orders.order(orders.model(affine_model), subtask, inline_max=100))
    told, frame = receipt.subtasks[0], orders.http.objects["output"]
    assert told.status == "done"
    assert told.output is None
    assert (told.output_size, told.output_sha256) == (len(frame), hashlib.sha256(frame).digest())
    assert decode_header(told.output_header) == decode_header(frame)
    np.testing.assert_allclose(decode_frame(frame)["y"], 2 * ITEMS + 1, rtol=1e-6)


def test_an_output_that_is_too_large_fails_without_a_url_or_when_the_store_refuses(slot, orders, affine_model):
    orders.http.put_limit = 10
    receipt = slot.run(
        orders.order(
            orders.model(affine_model),
            a_subtask("x", *orders.rows(ITEMS)),
            a_subtask("x", *orders.rows(ITEMS), output_url=orders.http.url("output")),
            a_subtask("x", *orders.rows(ITEMS[:1])),
            inline_max=100,
        )
    )
    codes = [(s.status, s.error_code) for s in receipt.subtasks]
    assert codes == [("failed", "output_too_large"), ("failed", "upload_refused"), ("done", "")]


def test_a_receipt_never_grows_beyond_what_a_call_carries(slot, orders):
    width = 256 * 1024
    items = np.ones((8, width), np.float32)
    model = orders.model(onnx_models.affine(width))
    order = orders.order(model, *(a_subtask("x", p) for p in orders.split(items, [1] * 8)), inline_max=2 * 1024 * 1024)
    receipt = slot.run(order)
    done = [s for s in receipt.subtasks if s.status == "done"]
    assert len(done) == INLINE_BYTES_MAX // (width * 4 + 64)
    assert {(s.status, s.error_code) for s in receipt.subtasks} - {("done", "")} == {("cancelled", "receipt_full")}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"sha256": "00" * 32}, "model_hash_mismatch"),
        ({"size": 10}, "model_fetch_refused"),
        ({"url": "http://127.0.0.1:1/nothing"}, "model_fetch_failed"),
        ({"inputs": {"x": {"dtype": "float32", "shape": [None, 4], "codec": {"codec": "sound"}}}}, "invalid_card"),
    ],
)
def test_a_model_that_cannot_be_had_fails_the_whole_order(slot, orders, affine_model, change, code):
    if "size" in change:
        orders.http.mishaps = ["whole"]
    receipt = slot.run(orders.order(orders.model(affine_model, **change), a_subtask("x", *orders.rows(ITEMS))))
    assert (receipt.error_code, receipt.subtasks) == (code, ())


def test_bytes_that_are_no_model_fail_the_whole_order(slot, orders, affine_model):
    good = orders.model(affine_model)
    noise = b"this is not a model"
    model = orders.model(
        affine_model, url=orders.http.hold("noise", noise), size=len(noise), sha256=hashlib.sha256(noise).hexdigest()
    )
    assert slot.run(orders.order(model, a_subtask("x", *orders.rows(ITEMS)))).error_code == "model_unloadable"
    assert slot.run(orders.order(good, a_subtask("x", *orders.rows(ITEMS)))).subtasks[0].status == "done"


def test_an_accelerator_that_is_not_there_is_named(orders, affine_model):
    transfer, sessions = Transfer(), SessionCache("NoSuchExecutionProvider", 1)
    order = orders.order(orders.model(affine_model), a_subtask("x", *orders.rows(ITEMS)))
    receipt = run_order(order, sessions, transfer, Cancellation())
    transfer.close()
    sessions.close()
    assert receipt.error_code == "execution_provider_missing"


def when_computing(runner, act) -> threading.Thread:
    """Do something as soon as a run really uses the processor."""

    def wait() -> None:
        while not runner.is_running:
            time.sleep(0)
        used = runner.life.child.processor_s()
        while runner.life.child.processor_s() < used + 0.05:
            time.sleep(0)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize(("reason", "expected"), [("", ("cancelled", "cancelled")), (TIMEOUT, ("failed", "order_timeout"))])
def test_a_run_under_way_is_given_up_when_its_order_is(slot, orders, reason, expected):
    # Given a model that would run for minutes
    model = orders.model(onnx_models.slow(multiplications=300_000_000))
    order = orders.order(model, *(a_subtask("x", p) for p in orders.split(np.ones((2, 64), np.float32), [1, 1])))
    cancellation = Cancellation()
    # When its order is given up while it runs
    canceller = when_computing(slot.sessions.runner, lambda: cancellation.cancel(reason))
    receipt = slot.run(order, cancellation)
    canceller.join()
    # Then both subtasks are told as given up, and nothing is billed
    assert [(s.status, s.error_code) for s in receipt.subtasks] == [expected] * 2
    assert all(s.run_us == 0 for s in receipt.subtasks)


def test_an_order_given_up_before_it_began_fetches_nothing(slot, orders, affine_model):
    cancellation = Cancellation()
    cancellation.cancel()
    receipt = slot.run(orders.order(orders.model(affine_model), a_subtask("x", *orders.rows(ITEMS))), cancellation)
    assert [s.status for s in receipt.subtasks] == ["cancelled"]
    assert orders.http.requests == []


def test_the_least_recently_used_model_makes_room(orders, affine_model):
    transfer = Transfer()
    models = [orders.model(content) for content in (affine_model, onnx_models.identity(), onnx_models.centred())]
    cache = SessionCache(CPU, 1, bytes_max=models[0].size + models[1].size + models[2].size - 1)
    for model in (models[0], models[1], models[0], models[2]):
        cache.load(model, transfer, Cancellation())
    transfer.close()
    loaded = cache.loaded
    cache.close()
    assert loaded == (models[0].sha256, models[2].sha256)


def test_two_orders_for_a_new_model_load_it_once(slot, orders, affine_model):
    model = orders.model(affine_model)
    arrived = threading.Barrier(4)
    found = []

    def load() -> None:
        arrived.wait()
        found.append(slot.sessions.load(model, slot.transfer, Cancellation()))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(load_us > 0 for load_us in found) == [False, False, False, True]
    assert len(orders.http.requests) == 1
