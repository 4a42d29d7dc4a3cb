"""The client, asynchronous and synchronous, against the real endpoint over a socket, with a machine that doubles numbers."""

import asyncio
import gc
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fabric.client import AsyncClient, Client, ItemFailed, PartialResult
from fabric.client.errors import InsufficientFunds, InvalidInput, JobFailed
from fabric.codecs.frame import encode_frame
from fabric.core.ids import JobId
from fabric.db.tables import jobs
from fabric.jobs import queue
from fabric.jobs.split import slice_inputs
from tests.fixtures.desk import Desk
from tests.fixtures.jobs import completion_of


class Doubler:
    """Works off jobs: y = 2x, and items that begin with a negative number fail."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.is_resting = desk, False

    async def run(self) -> None:
        while True:
            async with self.desk.bench.database.reading() as reader:
                found = [] if self.is_resting else await queue.open_jobs(reader)
            for job in found:
                await self.work(job.id)
            await asyncio.sleep(0.01)

    async def work(self, job_id: JobId) -> None:
        (row,) = await self.desk.bench.rows(jobs, job_id)
        done = []
        for lease in await self.desk.bench.claim(job_id, self.desk.machine, 256):
            (given,) = slice_inputs(row["inputs"], lease.item_start, lease.item_count)
            x = np.frombuffer(b"".join(part.data or b"" for part in given.parts), np.float32).reshape(-1, 2)
            bad = tuple((lease.item_start + i, "negative", "no roots") for i in np.flatnonzero(x[:, 0] < 0).tolist())
            done.append(completion_of(lease, output=encode_frame({"y": x[x[:, 0] >= 0] * 2}), item_errors=bad))
        await self.desk.bench.settle(done)


@pytest.fixture
async def doubler(desk: Desk) -> AsyncIterator[Doubler]:
    """A machine at work."""
    doubler = Doubler(desk)
    running = asyncio.create_task(doubler.run())
    yield doubler
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
def key(alice: Any) -> str:
    return str(alice.headers["Authorization"].removeprefix("Bearer "))


@pytest.fixture
async def client(live_url: str, key: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(live_url, key) as client:
        yield client


async def in_thread(live_url: str, key: str, story: Callable[[Client], Any]) -> Any:
    """Tell a story with the synchronous client, beside the endpoint's loop."""

    def told() -> Any:
        with Client(live_url, key) as client:
            return story(client)

    return await asyncio.to_thread(told)


def rows(count: int) -> list[list[float]]:
    return [[float(i), -float(i)] for i in range(count)]


async def statuses(client: AsyncClient) -> list[str]:
    return [job["status"] for job in await client.jobs.list(limit=None)]


async def test_map_gives_results_in_order_and_reads_no_further_than_the_window(client: AsyncClient, doubler: Doubler):
    # Given an endless generator, of which one knows how far it was read
    read = 0

    def numbers():
        nonlocal read
        while True:
            read += 1
            yield [read, 0]

    # When the first results are taken
    found, ahead = [], []
    results = client.map("m", numbers(), window=16)
    async for y in results:
        found.append(float(y[0]))
        ahead.append(read - len(found))
        if len(found) == 24:
            break
    await results.aclose()
    # Then they are in order, and it was never read further ahead than the window
    assert found == [2.0 * i for i in range(1, 25)]
    assert max(ahead) <= 16
    # And what was under way has ended
    assert set(await statuses(client)) <= {"succeeded", "cancelled"}


async def test_map_ended_early_cancels_what_nobody_will_fetch(
    live_url: str, key: str, desk: Desk, client: AsyncClient, doubler: Doubler
):
    def story(sync: Client) -> None:
        results = sync.map("m", iter(rows(400)), window=40, batch=10)
        assert next(results).tolist() == [0.0, 0.0]
        doubler.is_resting = True
        list(zip(range(9), results, strict=False))  # the first batch; the next result needs a machine
        results.close()

    await in_thread(live_url, key, story)
    found = await statuses(client)
    assert len(found) <= 5
    assert set(found) <= {"succeeded", "cancelled"}
    assert (await client.wallet.balance())["held"]["usd_nanos"] == 0


async def test_a_failed_item_is_raised_in_its_turn_or_returned_in_its_place(client: AsyncClient, doubler: Doubler):
    items = [[1, 1], [2, 2], [-3, 3], [4, 4]]
    before = []
    with pytest.raises(ItemFailed, match="item 2 failed: negative: no roots") as caught:
        async for y in client.map("m", items):
            before.append(y.tolist())
    assert before == [[2, 2], [4, 4]]
    assert (caught.value.index, caught.value.code) == (2, "negative")
    found = [y async for y in client.map("m", items, on_error="return", batch=3, window=3)]
    assert [isinstance(y, ItemFailed) for y in found] == [False, False, True, False]
    assert found[3].tolist() == [8, 8]


async def test_what_comes_before_an_error_is_delivered_before_it(client: AsyncClient, doubler: Doubler):
    def numbers():
        yield from rows(20)
        raise OSError("the camera was unplugged")

    found = []
    with pytest.raises(OSError, match="unplugged"):
        async for y in client.map("m", numbers()):
            found.append(y)
    assert len(found) == 20
    # An item of another shape is refused alone
    mixed = [[1, 1], [1, 2, 3], [2, 2]]
    found = [y async for y in client.map("m", mixed, on_error="return")]
    assert [getattr(y, "code", "") for y in found] == ["", "invalid_input", ""]
    with pytest.raises(InsufficientFunds) as caught:
        async for _ in client.map("m", mixed, on_error="return", budget_usd="5000"):
            pytest.fail("nothing can be delivered")
    assert "top_up" in caught.value.advice


async def test_a_call_that_cannot_work_is_refused_at_once(client: AsyncClient, desk: Desk):
    for wrong, why in [
        ({"window": 0}, "window"), ({"window": 4, "batch": 5}, "batch"), ({"on_error": "ignore"}, "on_error"),
        ({"quote": "quo_1"}, "one job"), ({"budget": 1}, "unknown option"),
    ]:  # fmt: skip
        with pytest.raises((ValueError, TypeError), match=why):
            client.map("m", [], **wrong)
    with pytest.raises(TypeError, match="several items"):
        _ = [y async for y in client.map("m", "a text")]


async def test_tables_and_columns_are_mapped_too(client: AsyncClient, doubler: Doubler):
    table = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    assert [y.tolist() async for y in client.map("m", table)] == [[2, 6], [4, 8]]
    assert [y.tolist() async for y in client.map("m", {"x": np.eye(2, dtype=np.float32)})] == [[2, 0], [0, 2]]
    assert [y async for y in client.map("m", [])] == []


async def test_a_table_goes_in_and_a_table_comes_out(client: AsyncClient, doubler: Doubler):
    # Given a table with names for its rows, one of which holds what fails
    table = pd.DataFrame({"a": [1.0, -2.0, 3.0], "b": [4.0, 5.0, 6.0]}, index=["one", "two", "three"])
    job = await (await client.submit("m", table)).wait(60, progress=False)
    # When the results are wanted as a table
    found = await job.to_frame(index=table.index)
    # Then each row has its item's values, and the failed one says why
    assert list(found.columns) == ["y_0", "y_1", "error"]
    assert found.loc["three", ["y_0", "y_1"]].tolist() == [6.0, 12.0]
    assert pd.isna(found.loc["two", "y_0"])
    assert found.loc["two", "error"] == "negative: no roots"
    with pytest.raises(PartialResult, match="1 of 3") as caught:
        await job.results()
    assert "job.retry()" in caught.value.advice
    with pytest.raises(ValueError, match="row 1 of column 'a' is missing"):
        await client.submit("m", pd.DataFrame({"a": ["1", None], "b": ["2", "3"]})[["a"]])


async def test_an_executor_gives_each_item_a_future(live_url: str, key: str, doubler: Doubler):
    def story(client: Client) -> None:
        with client.executor("m", window=64) as executor:
            futures = [executor.submit(row) for row in rows(60)]
            bad = executor.submit(np.array([-1, 0], np.float32))
            assert list(executor.map([[1, 1], [2, 2]]))[1].tolist() == [4, 4]
        assert [float(future.result()[0]) for future in futures] == [2.0 * i for i in range(60)]
        with pytest.raises(ItemFailed, match="no roots"):
            bad.result()
        with pytest.raises(RuntimeError, match="shut down"):
            executor.submit([1, 1])
        with pytest.raises(ValueError, match="keys"):
            client.executor("m").submit({"z": 1})

        assert len(client.jobs.list(limit=None)) < 30  # not a job for each

    await in_thread(live_url, key, story)


async def test_an_executor_that_is_given_up_cancels_its_jobs(live_url: str, key: str, client: AsyncClient, doubler: Doubler):
    doubler.is_resting = True

    def story(sync: Client) -> None:
        executor = sync.executor("m", window=8, batch=4)
        futures = [executor.submit(row) for row in rows(12)]  # two jobs of four, and four that wait
        while len(sync.jobs.list()) < 2:
            pass
        executor.shutdown(cancel_futures=True)
        assert all(future.done() for future in futures)
        assert futures[-1].cancelled()
        with pytest.raises(ItemFailed, match="job_cancelled"):
            futures[0].result()

    await in_thread(live_url, key, story)
    assert set(await statuses(client)) == {"cancelled"}


async def test_a_job_is_taken_up_in_another_process(live_url: str, key: str, client: AsyncClient, doubler: Doubler):
    # Given a job that nobody waits for, and whose handle is lost
    doubler.is_resting = True
    job_id = (await client.submit("m", np.ones((3, 2), np.float32), labels={"sweep": "7"})).id
    gc.collect()
    # When another process asks for it by its id
    program = (
        "import sys, json; from fabric.client import Client; client = Client(sys.argv[1], sys.argv[2]);"
        "job = client.job(sys.argv[3]).wait(60, progress=False); print(json.dumps([job.id, job.result('y').tolist()]))"
    )
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, live_url, key, job_id, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    doubler.is_resting = False
    printed, said = await other.communicate()
    # Then it gets the results
    assert json.loads(printed) == [job_id, [[2, 2]] * 3], said.decode()
    assert [job["id"] for job in await client.jobs.list(labels={"sweep": "7"})] == [job_id]


async def test_work_is_repeated_saved_and_tried_out(client: AsyncClient, doubler: Doubler):
    x = np.array([[1, 2], [-1, 0]], np.float32)
    tried = await client.dry_run("m", x)
    assert (tried["items"], tried["affordable"]) == (2, True)
    job = await (await client.submit("m", x)).wait(60, progress=False)
    # What failed is done again, the whole is run again with other numbers, and a template keeps the rest
    assert (await job.retry()).facts["retried_items"] == [[1, 1]]
    again = await (await client.jobs.rerun(job.id, [[5, 5]])).wait(60, progress=False)
    assert (await again.result()).tolist() == [[10, 10]]
    await client.templates.save("nightly", "m", labels={"kind": "nightly"})
    made = await (await client.templates.submit("nightly", [[7, 7]])).wait(60, progress=False)
    assert made.facts["labels"] == {"kind": "nightly"}
    assert [template["name"] for template in await client.templates.list()] == ["nightly"]
    await client.templates.delete("nightly")
    assert await client.templates.list() == []


async def test_a_timeline_tells_who_did_what(client: AsyncClient, doubler: Doubler):
    job = await (await client.submit("m", np.ones((6, 2), np.float32), items_per_subtask=2)).wait(60, progress=False)
    timeline = await job.timeline()
    assert [(span.items, span.outcome) for span in timeline.spans] == [(2, "done")] * 3
    assert timeline.lanes[0].startswith("machine-")
    assert all(0 <= span.start_s <= span.end_s for span in timeline.spans)
    assert timeline._repr_png_().startswith(b"\x89PNG")


async def test_lists_go_over_pages_and_what_is_missing_is_told_with_advice(client: AsyncClient, desk: Desk):
    for _ in range(3):
        await desk.submit()
    assert len(await client.jobs.list(limit=2)) == 2
    assert len(await client.jobs.list(limit=None)) == 3
    with pytest.raises(InvalidInput) as caught:
        await client.submit("m", np.ones((2, 3), np.float32))
    assert "client.dry_run" in "".join(caught.value.__notes__)
    job = await client.submit("m", np.ones((2, 2), np.float32), requirements={"region": ["the-moon"]})
    await job.cancel()
    with pytest.raises(JobFailed, match="cancelled"):
        await job.wait()
