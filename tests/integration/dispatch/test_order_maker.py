"""What an order carries: exactly the bytes of its own items, inline when small, else behind URLs for exactly these ranges."""

from typing import Any

import httpx
import numpy as np
import pytest

from fabric.actors.messages import Order, decode_order
from fabric.core.ids import OrderId
from fabric.core.settings import DispatchSettings
from fabric.dispatch.orders import MadeOrder, OrderMaker
from tests.fixtures.dispatcher import DispatchBench


async def make(
    bench: DispatchBench, rows: np.ndarray, count: int, per_subtask: int = 1, inputs: Any = None, **settings: Any
) -> MadeOrder:
    provider = await bench.bench.provider()
    job = await bench.job(rows, per_subtask, **({"inputs": inputs} if inputs else {}))
    leases = await bench.bench.claim(job, provider, count)
    maker = OrderMaker(bench.bench.database, bench.store, DispatchSettings(**settings))
    return await maker.make(OrderId.new(), job, leases, 60.0)


def parts_of(order: Order) -> list[Any]:
    return [part for subtask in order.subtasks for given in subtask.inputs for part in given.parts]


def rows_of(count: int, width: int = 4) -> np.ndarray:
    return np.arange(count * width, dtype=np.float32).reshape(count, width)


async def test_small_inputs_ride_along(dispatch_bench: DispatchBench):
    rows = rows_of(10)
    made = await make(dispatch_bench, rows, 4, per_subtask=2)
    parts = parts_of(decode_order(made.frame))
    assert [part.url for part in parts] == [None] * 4
    assert b"".join(part.data for part in parts) == rows[:8].tobytes()
    assert made.inline_bytes == rows[:8].nbytes


async def test_small_outputs_of_a_known_size_get_no_url(dispatch_bench: DispatchBench):
    order = decode_order((await make(dispatch_bench, rows_of(10), 4)).frame)
    assert {subtask.output_url for subtask in order.subtasks} == {None}


async def test_an_output_of_unknown_size_may_be_uploaded_under_a_key_of_its_lease(dispatch_bench: DispatchBench):
    spec = {"dtype": "float32", "shape": [None, 4]}
    await dispatch_bench.model(b"m", inputs={"x": spec}, outputs={"y": spec}, output_bytes_item=None)
    order = decode_order((await make(dispatch_bench, rows_of(10), 4)).frame)
    urls = {subtask.output_url for subtask in order.subtasks}
    assert len(urls) == 4
    assert None not in urls


async def test_large_inputs_go_by_url_and_the_url_is_good_for_nothing_else(dispatch_bench: DispatchBench):
    rows = rows_of(10)
    made = await make(dispatch_bench, rows, 4, per_subtask=2, inline_order_bytes_max=16)
    parts = parts_of(decode_order(made.frame))
    assert (made.inline_bytes, {part.data for part in parts}) == (0, {None})
    (url,) = {part.url for part in parts}  # neighbours share one range, so that they are fetched at once
    async with httpx.AsyncClient() as http:
        ours = await http.get(url, headers={"Range": f"bytes=0-{rows[:8].nbytes - 1}"})
        theirs = await http.get(url, headers={"Range": f"bytes=0-{rows.nbytes - 1}"})
    assert ours.content == rows[:8].tobytes()
    assert theirs.status_code == 403


async def test_inputs_that_do_not_lie_together_get_ranges_of_their_own(dispatch_bench: DispatchBench):
    rows = rows_of(10)
    made = await make(dispatch_bench, rows, 10, inline_order_bytes_max=16)
    key = "files/scattered"
    await dispatch_bench.store.put_bytes(key, rows.tobytes())
    scattered = {"x": {"broadcast": False, "parts": [
        {"encoding": "rows", "key": key, "offset": offset, "items": 1, "row_bytes": 16, "dtype": "float32", "shape": [4]}
        for offset in (0, 64, 32)
    ]}}  # fmt: skip
    made = await make(dispatch_bench, rows_of(3), 3, inputs=scattered, inline_order_bytes_max=16)
    assert len({part.url for part in parts_of(decode_order(made.frame))}) == 3


@pytest.mark.parametrize(("data_bytes", "fitting"), [(1 << 20, 6), (100, 20)])
async def test_what_a_job_carries_inline_limits_the_order_and_the_rest_is_left_out(dispatch_bench, data_bytes, fitting):
    import base64

    whole = {"encoding": "rows", "inline": base64.b64encode(bytes(data_bytes)).decode(), "items": 1, "row_bytes": data_bytes,
             "dtype": "uint8", "shape": [data_bytes]}  # fmt: skip
    rows = {"encoding": "rows", "inline": base64.b64encode(bytes(320)).decode(), "items": 20, "row_bytes": 16, "dtype": "float32",
            "shape": [4]}  # fmt: skip
    inputs = {"x": {"broadcast": False, "parts": [rows]}, "w": {"broadcast": True, "parts": [whole]}}
    made = await make(dispatch_bench, rows_of(20), 20, inputs=inputs)
    assert len(decode_order(made.frame).subtasks) == 20 - len(made.left_out)
    assert abs(len(decode_order(made.frame).subtasks) - fitting) <= 1
