"""A job that has used up its budget waits for funds, goes on when it gets some, and else ends with what it has."""

import asyncio

import httpx
import numpy as np
import pytest
from sqlalchemy import text

from fabric.billing import metering
from fabric.codecs.tensor import json_of_tensor
from fabric.core.money import price_nanos, usd_text
from tests.fixtures.api import Person
from tests.fixtures.dispatcher import DispatchBench
from tests.fixtures.jobs import RATE
from tests.fixtures.onnx_models import affine

JOBS = "/api/v1/jobs"
ROWS = np.arange(24, dtype=np.float32).reshape(6, 4)
TENSOR = {"dtype": "float32", "shape": [None, 4]}
MODEL = f"m{len(affine())}"  # as the bench names it
PATIENCE_S = 60


class Shopper:
    """Somebody with a model and a little credit, where a real dispatcher works."""

    def __init__(self, api: httpx.AsyncClient, person: Person) -> None:
        self.api, self.headers = api, person.headers

    async def post(self, path: str, body: dict) -> dict:
        answer = await self.api.post(path, json=body, headers=self.headers)
        assert answer.is_success, answer.text
        return dict(answer.json())

    async def until(self, job: str, **wanted) -> dict:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                shown = (await self.api.get(f"{JOBS}/{job}", headers=self.headers)).json()
                if all(shown[name] == value for name, value in wanted.items()):
                    return dict(shown)
                assert shown["finished_at"] is None, shown
                await asyncio.sleep(0.05)


@pytest.fixture
async def shopper(api: httpx.AsyncClient, alice: Person, dispatch_bench: DispatchBench) -> Shopper:
    spec = {"inputs": {"x": TENSOR}, "outputs": {"y": TENSOR}, "item_us": 100.0, "output_bytes_item": 16}
    await dispatch_bench.model(affine(), owner=alice.id, **spec)
    await dispatch_bench.machine()
    dispatch_bench.dispatch()
    return Shopper(api, alice)


async def test_more_money_within_the_grace_lets_a_job_go_on_and_none_ends_it_with_what_it_has(
    shopper: Shopper, dispatch_bench: DispatchBench
):
    # Given two jobs whose budgets pay the cap of one subtask, so that the first one is done and then nothing can be leased
    cap = price_nanos(RATE, max(metering.cap_us(100.0, 1.0, 1), metering.CAP_US_MIN))
    await shopper.post("/api/v1/wallet/top-ups", {"amount_usd": "1"})
    body = {
        "model": MODEL, "inputs": [{"name": "x", "tensor": json_of_tensor("x", ROWS)}], "split": {"items_per_subtask": 1},
        "budget_usd": usd_text(cap),
    }  # fmt: skip
    helped, left_alone = [(await shopper.post(JOBS, body))["id"] for _ in range(2)]
    for job in (helped, left_alone):
        waiting = await shopper.until(job, waiting_reason="funds")
        assert 1 <= waiting["progress"]["items_done"] < 6
    # When one of them gets more within the grace period it goes on to its end
    await shopper.post(f"{JOBS}/{helped}/budget", {"add_usd": "0.5"})
    done = await shopper.until(helped, status="succeeded")
    assert done["progress"]["items_done"] == 6
    # And the other one ends when its grace is over; what it has can be fetched, and the rest of the hold is back
    async with dispatch_bench.bench.database.transaction() as tx:
        statement = "UPDATE jobs SET waiting_since = waiting_since - interval '301 seconds' WHERE waiting_reason = 'funds'"
        await tx.execute(text(statement))
    ended = await shopper.until(left_alone, status="failed")
    assert ended["error"]["code"] == "budget_exhausted"
    results = (await shopper.api.get(f"{JOBS}/{left_alone}/results", headers=shopper.headers)).json()
    assert results["items_done"] == ended["progress"]["items_done"] >= 1
    bill = (await shopper.api.get(f"{JOBS}/{left_alone}/bill", headers=shopper.headers)).json()
    assert bill["held"]["usd_nanos"] == cap == bill["captured"]["usd_nanos"] + bill["released"]["usd_nanos"]
    assert sum(line["subtasks"] for line in bill["charged"]) == ended["progress"]["subtasks_done"]
