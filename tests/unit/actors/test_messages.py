import dataclasses
import os
import subprocess
import sys

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabric.actors.messages import (
    RECEIPT_BYTES_MAX,
    VERSION,
    BadFrame,
    InputOrder,
    ItemError,
    ModelRef,
    Order,
    Part,
    Pong,
    Receipt,
    SubtaskOrder,
    SubtaskReceipt,
    decode_cancel,
    decode_order,
    decode_pong,
    decode_receipt,
    encode_cancel,
    encode_order,
    encode_pong,
    encode_receipt,
)

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=8) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=30,
)
DECODERS = {"order": decode_order, "receipt": decode_receipt, "cancel": decode_cancel, "pong": decode_pong}
SUBTASK = SubtaskReceipt(b"s" * 16, 3, "done", 1234, b"frame", None, 0, None, (ItemError(2, "corrupt_image", "no PNG"),))
RECEIPT = Receipt(b"o" * 16, (SUBTASK, SubtaskReceipt(b"t" * 16, 1, "failed", 0, error_code="run_failed")), 10, 20)


def an_order(parts: int = 2) -> Order:
    url = "http://store/object?" + "s" * 200
    model = ModelRef(
        "ab" * 32, "http://store/model", 99, {"x": {"dtype": "float32", "shape": [None, 4], "codec": {"codec": "tensor"}}},
        {"y": {"dtype": "float32", "shape": [None, 4]}}, True, 16, False,
    )  # fmt: skip
    subtasks = tuple(
        SubtaskOrder(
            os.urandom(16), index, 2,
            (
                InputOrder("x", (Part(2, "rows", url=url, offset=128 + 32 * index, length=32, dtype="float32", shape=(4,)),)),
                InputOrder("w", (Part(1, "rows", data=bytes(8), dtype="float64", shape=(1,)),), broadcast=True),
                InputOrder("i", (Part(2, "image", url=f"http://store/{index}", length=9, sizes=(4, 5)),)),
            ),
            output_url="http://store/out" if index else None,
        )
        for index in range(parts)
    )  # fmt: skip
    return Order(os.urandom(16), model, subtasks, 65536, 120.0)


def mutated(fields: list, path: list[int], value: object) -> list:
    """The same nested list with one value replaced; the path walks as deep as there are lists."""
    here = fields
    while True:
        index = path.pop(0) % len(here) if here else 0
        if not here:
            here.append(value)
            return fields
        if not path or not isinstance(here[index], list):
            here[index] = value
            return fields
        here = here[index]


def test_an_order_comes_back_as_it_went():
    order = an_order()
    assert decode_order(encode_order(order)) == order


def test_a_url_that_many_parts_share_is_written_once():
    frame = encode_order(an_order(100))
    assert frame.count(b"s" * 200) == 1


def test_receipt_pong_and_cancel_come_back_as_they_went():
    assert decode_receipt(encode_receipt(RECEIPT)) == RECEIPT
    pong = Pong((b"o" * 16,), ("ab" * 32,), 1.5)
    assert decode_pong(encode_pong(pong)) == pong
    assert decode_cancel(encode_cancel([b"o" * 16])) == [b"o" * 16]


@pytest.mark.parametrize("kind", DECODERS)
def test_another_version_or_kind_is_refused(kind):
    for fields in ([VERSION + 1, kind], [VERSION, "other"], [], None, {"kind": kind}):
        with pytest.raises(BadFrame):
            DECODERS[kind](msgpack.packb(fields))


@pytest.mark.parametrize("kind", DECODERS)
@given(noise=st.binary(max_size=100))
def test_noise_is_refused(kind, noise):
    with pytest.raises(BadFrame):
        DECODERS[kind](noise)


@pytest.mark.parametrize("kind", DECODERS)
@given(fields=st.lists(ANYTHING, max_size=8))
def test_fields_of_any_other_form_are_refused_or_read_and_never_raise_anything_else(kind, fields):
    try:
        DECODERS[kind](msgpack.packb([VERSION, kind, *fields]))
    except BadFrame:
        pass


@settings(max_examples=400)
@given(path=st.lists(st.integers(0, 11), min_size=1, max_size=5), value=ANYTHING)
def test_a_receipt_with_one_lie_in_it_is_refused_or_well_formed(path, value):
    fields = msgpack.unpackb(encode_receipt(RECEIPT))
    frame = msgpack.packb(mutated(fields, list(path), value))
    try:
        receipt = decode_receipt(frame)
    except BadFrame:
        return
    for subtask in receipt.subtasks:
        assert len(subtask.id) == 16
        assert subtask.status in {"done", "failed", "refused", "cancelled"}
        assert subtask.run_us >= 0
        assert subtask.output is None or type(subtask.output) is bytes
        assert all(type(e) is ItemError and e.index >= 0 for e in subtask.item_errors)
    assert receipt.load_us >= 0


@settings(max_examples=200)
@given(path=st.lists(st.integers(0, 11), min_size=1, max_size=8), value=ANYTHING)
def test_an_order_with_one_mistake_in_it_is_refused_or_read(path, value):
    fields = msgpack.unpackb(encode_order(an_order()))
    try:
        decode_order(msgpack.packb(mutated(fields, list(path), value)))
    except BadFrame:
        pass


@pytest.mark.parametrize(
    "change",
    [
        {"id": b"short"}, {"fence": -1}, {"fence": True}, {"run_us": 2**62}, {"run_us": 1.5}, {"status": "paid"},
        {"output": "text"}, {"output_sha256": b"x"}, {"output_header": bytes(100_000)}, {"output_size": -1},
    ],
)  # fmt: skip
def test_each_lie_about_a_subtask_is_refused(change):
    with pytest.raises(BadFrame):
        decode_receipt(encode_receipt(dataclasses.replace(RECEIPT, subtasks=(dataclasses.replace(SUBTASK, **change),))))


def test_a_pickle_is_noise():
    import pickle

    with pytest.raises(BadFrame):
        decode_receipt(pickle.dumps(RECEIPT))


def test_long_text_is_cut_and_giants_are_refused_unread():
    long = dataclasses.replace(RECEIPT, error_detail="x" * 10_000)
    assert len(decode_receipt(encode_receipt(long)).error_detail) == 500
    with pytest.raises(BadFrame):
        decode_receipt(bytes(RECEIPT_BYTES_MAX * 8 + 1))
    with pytest.raises(BadFrame):
        decode_receipt(object())


@pytest.mark.parametrize("busy_s", [float("nan"), float("inf"), -1.0])
def test_a_pong_tells_real_seconds(busy_s):
    with pytest.raises(BadFrame):
        decode_pong(encode_pong(Pong((), (), busy_s)))


def test_an_owners_machine_needs_no_server_code():
    probe = (
        "import sys, fabric.actors.provider_actor, fabric.codecs.npz; "
        "print([m for m in ('httpx','sqlalchemy','fastapi','ray','boto3','pydantic','pydantic_settings','onnx','sklearn') "
        "if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd="/")
    assert loaded.stdout.strip() == "[]"
