"""/api/v1/jobs and /api/v1/quotes: a customer's work over HTTP."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import numpy as np
import pytest

from fabric.billing import ledger
from fabric.client.streams import parse_events
from fabric.codecs.frame import encode_frame
from fabric.codecs.tensor import json_of_tensor
from fabric.core.ids import FileId, JobId
from fabric.db.tables import jobs, subtasks
from tests.fixtures.api import register
from tests.fixtures.desk import BODY, JOBS, Desk, X, problem
from tests.fixtures.jobs import HOLD, PROFILE


async def test_a_job_is_submitted_worked_on_and_fetched(desk: Desk):
    # Given a job of ten items
    answer = await desk.post(BODY | {"split": {"items_per_subtask": 3}})
    assert answer.status_code == 201
    job = answer.json()
    assert (job["status"], job["model"], job["waiting_reason"]) == ("queued", "m:1", None)
    assert job["progress"] == {
        "items_total": 10, "items_done": 0, "items_failed": 0, "subtasks_total": 4, "subtasks_done": 0, "subtasks_leased": 0,
    }  # fmt: skip
    assert job["cost"]["held"]["usd_nanos"] > 0
    # When a machine does it
    await desk.work(job["id"])
    # Then it has succeeded, and says what it cost and who earned
    done = (await desk.get(f"{JOBS}/{job['id']}")).json()
    assert (done["status"], done["progress"]["items_done"]) == ("succeeded", 10)
    cost = done["cost"]
    assert cost["held"]["usd_nanos"] == cost["captured"]["usd_nanos"] + cost["released"]["usd_nanos"]
    (share,) = cost["by_provider"]
    assert share["provider_id"] == str(desk.machine)
    assert share["earned"]["usd_nanos"] == cost["captured"]["usd_nanos"] - cost["commission"]["usd_nanos"]
    assert share["seconds"] == pytest.approx(0.04)
    assert done["queue_s"] >= 0 and done["run_s"] > 0 and done["started_at"].endswith("Z")
    # And the results are there in input order
    manifest = (await desk.get(f"{JOBS}/{job['id']}/results")).json()
    assert manifest["outputs"] == [
        {"name": "y", "dtype": "float32", "shape": [10, 2], "media_type": None, "url": f"{JOBS}/{job['id']}/results/y"}
    ]
    npy = await desk.get(manifest["outputs"][0]["url"])
    np.testing.assert_array_equal(np.load(io.BytesIO(npy.content)), X * 2)
    parts = await desk.get(manifest["parts_url"])
    assert parts.headers["content-type"] == "application/vnd.fabric.parts"
    assert len(parts.content) == sum(16 + len(encode_frame({"y": X[a : a + 3]})) for a in (0, 3, 6, 9))


async def test_subtasks_come_in_pages_with_their_attempts(desk: Desk):
    job = await desk.submit(split={"items_per_subtask": 1})
    await desk.bench.give_back(await desk.bench.claim(JobId.parse(job), desk.machine, 1), "lost")
    await desk.work(job)
    first = (await desk.get(f"{JOBS}/{job}/subtasks", limit=6)).json()
    rest = (await desk.get(f"{JOBS}/{job}/subtasks", limit=6, cursor=first["next_cursor"])).json()
    assert [s["position"] for s in first["data"] + rest["data"]] == list(range(10))
    assert rest["next_cursor"] is None
    assert [a["outcome"] for a in first["data"][0]["attempts"]] == ["lost"]
    (tried,) = first["data"][1]["attempts"]
    assert (tried["outcome"], tried["seconds"], tried["provider_id"]) == ("done", 0.01, str(desk.machine))


async def test_jobs_are_listed_newest_first_in_pages(desk: Desk):
    ids = [await desk.submit() for _ in range(3)]
    await desk.work(ids[0])
    first = (await desk.get(JOBS, limit=2)).json()
    rest = (await desk.get(JOBS, limit=2, cursor=first["next_cursor"])).json()
    assert [job["id"] for job in first["data"] + rest["data"]] == ids[::-1]
    assert [job["id"] for job in (await desk.get(JOBS, status="succeeded")).json()["data"]] == [ids[0]]


async def test_a_quote_says_what_a_job_would_cost_and_hold(desk: Desk):
    by_count = await desk.post({"model": "m", "items": 10}, "/api/v1/quotes")
    assert by_count.status_code == 201
    by_inputs = await desk.post(BODY, "/api/v1/quotes")
    quote = by_inputs.json()
    assert {**quote, "id": 0, "expires_at": 0} == {**by_count.json(), "id": 0, "expires_at": 0}
    capacity = {"slots_matching": 1, "slots_free": 1, "slots_too_small": 0, "memory_bytes": PROFILE["memory_bytes"]}
    chance = quote["capacity"].pop("probability")  # nobody has looked at this market so far: a free slot is likely to stay free
    assert 0.8 < chance < 0.81
    assert quote["capacity"] == capacity | {"wait_s": 0.0}
    assert 0 < quote["price_min"]["usd_nanos"] <= quote["price_expected"]["usd_nanos"] <= quote["price_max"]["usd_nanos"]
    job = (await desk.get(f"{JOBS}/{await desk.submit()}")).json()
    assert job["cost"]["held"] == quote["hold"]
    limited = (await desk.post({"model": "m", "items": 10, "budget_usd": "0.25"}, "/api/v1/quotes")).json()
    assert limited["hold"]["usd"] == "0.250000000"
    problem(await desk.post({"model": "m"}, "/api/v1/quotes"), 422, "invalid")
    problem(await desk.post({"model": "none", "items": 1}, "/api/v1/quotes"), 404, "not_found")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"model": "nothing"}, 404, "not_found"),
        ({"inputs": []}, 422, "invalid_input"),
        ({"inputs": [{"name": "y", "tensor": json_of_tensor("y", X)}]}, 422, "invalid_input"),
        ({"inputs": [{"name": "x", "tensor": json_of_tensor("x", X.reshape(4, 5))}]}, 422, "invalid_input"),
        ({"inputs": [{"name": "x", "tensor": json_of_tensor("x", X[:0])}]}, 422, "empty_job"),
        ({"inputs": [{"name": "x", "tensor": {"datatype": "TEXT", "shape": [1], "data": [1]}}]}, 422, "invalid_input"),
        ({"inputs": [{"name": "x", "file": str(FileId.new())}]}, 404, "not_found"),
        ({"inputs": [{"name": "x", "file": "nonsense"}]}, 404, "not_found"),
        ({"inputs": [{"name": "x", "file": str(FileId.new()), "files": []}]}, 422, "invalid"),
        ({"inputs": [{"name": "x"}]}, 422, "invalid"),
        ({"budget_usd": "2"}, 402, "insufficient_funds"),
        ({"budget_usd": "-1"}, 422, "invalid"),
        ({"budget_usd": "0"}, 422, "invalid"),
        ({"budget_usd": 1.5}, 422, "invalid"),
        ({"max_price_usd_per_hour": "cheap"}, 422, "invalid"),
        ({"requirements": {"accelerator": ["abacus"]}}, 422, "invalid"),
        ({"requirements": {"providers": {"only": ["me"]}}}, 404, "not_found"),
        ({"deadline_s": 0}, 422, "invalid"),
        ({"split": {"items_per_subtask": 0}}, 422, "invalid"),
        ({"priority": "now"}, 422, "invalid"),
        ({"colour": "red"}, 422, "invalid"),
    ],
)
async def test_a_job_that_cannot_be_accepted_leaves_nothing_behind(desk: Desk, change: dict, status: int, code: str):
    answer = await desk.post(BODY | change)
    body = problem(answer, status, code)
    if code == "invalid_input":
        assert body["errors"][0]["loc"][0] == "inputs" and body["errors"][0]["msg"]
    assert await desk.count(jobs) == await desk.count(subtasks) == 0
    assert await desk.bench.balance("requestor:*:available", desk.alice.id) == HOLD


async def test_malformed_json_is_told_from_json_that_does_not_fit(desk: Desk):
    answer = await desk.api.post(JOBS, content=b'{"model": ', headers=desk.alice.headers | {"Content-Type": "application/json"})
    problem(answer, 400, "malformed")


async def test_one_item_and_items_that_do_not_divide_are_fine(desk: Desk):
    one = await desk.submit(inputs=[{"name": "x", "tensor": json_of_tensor("x", X[:1])}])
    odd = await desk.submit(split={"items_per_subtask": 4})
    for job, sizes in ((one, [1]), (odd, [4, 4, 2])):
        page = (await desk.get(f"{JOBS}/{job}/subtasks")).json()
        assert [subtask["item_count"] for subtask in page["data"]] == sizes


async def test_the_same_key_makes_one_job_however_often_it_is_sent(desk: Desk):
    first = await desk.post(BODY, **{"Idempotency-Key": "k1"})
    again = await desk.post(BODY, **{"Idempotency-Key": "k1"})
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json() and again.headers["Idempotency-Replayed"] == "true"
    assert await desk.count(jobs) == 1
    problem(await desk.post(BODY | {"priority": "high"}, **{"Idempotency-Key": "k1"}), 422, "idempotency_mismatch")
    storm = await asyncio.gather(*(desk.post(BODY, **{"Idempotency-Key": "k2"}) for _ in range(5)))
    assert {answer.status_code for answer in storm} <= {201, 409}
    assert len({answer.json()["id"] for answer in storm if answer.status_code == 201}) == 1
    assert await desk.count(jobs) == 2


async def test_a_refusal_for_lack_of_credit_does_not_outlive_the_top_up(desk: Desk):
    wanted = BODY | {"budget_usd": "2"}
    problem(await desk.post(wanted, **{"Idempotency-Key": "k"}), 402, "insufficient_funds")
    async with desk.bench.database.transaction() as tx:
        await ledger.top_up(tx, desk.alice.id, 2 * HOLD, "topup:more", {})
    assert (await desk.post(wanted, **{"Idempotency-Key": "k"})).status_code == 201


async def test_cancelling_stops_a_job_once(desk: Desk):
    job = await desk.submit(split={"items_per_subtask": 1})
    await desk.work(job, 4)
    answer = await desk.api.post(f"{JOBS}/{job}/cancel", headers=desk.alice.headers)
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["progress"]["items_done"]) == ("cancelled", 4)
    held, captured, released = (answer.json()["cost"][k]["usd_nanos"] for k in ("held", "captured", "released"))
    assert held == captured + released
    problem(await desk.api.post(f"{JOBS}/{job}/cancel", headers=desk.alice.headers), 409, "already_finished")
    done = await desk.submit()
    await desk.work(done)
    problem(await desk.api.post(f"{JOBS}/{done}/cancel", headers=desk.alice.headers), 409, "already_finished")


async def test_items_that_failed_are_named(desk: Desk):
    job = await desk.submit()
    await desk.work(job, failed=(3,))
    shown = (await desk.get(f"{JOBS}/{job}")).json()
    assert (shown["status"], shown["progress"]["items_failed"], shown["progress"]["items_done"]) == ("succeeded", 1, 9)
    assert shown["errors"] == [{"index": 3, "code": "corrupt_image", "detail": "not a PNG"}]
    manifest = (await desk.get(f"{JOBS}/{job}/results")).json()
    assert (manifest["failed_items"], manifest["errors"]) == ([3], shown["errors"])


async def test_results_that_do_not_exist_are_refused(desk: Desk):
    job = await desk.submit()
    problem(await desk.get(f"{JOBS}/{job}/results/z"), 404, "not_found")
    problem(await desk.get(f"{JOBS}/{job}/results/y"), 409, "conflict")
    assert (await desk.get(f"{JOBS}/{job}/results", format="parts")).content == b""


async def test_nobody_sees_or_touches_the_job_of_somebody_else(desk: Desk):
    job = await desk.submit()
    mallory = await register(desk.api)
    for path in ("", "/subtasks", "/results", "/results?format=parts", "/results/y", "/events", "?wait_s=1"):
        problem(await desk.api.get(f"{JOBS}/{job}{path}", headers=mallory.headers), 404, "not_found")
    problem(await desk.api.post(f"{JOBS}/{job}/cancel", headers=mallory.headers), 404, "not_found")
    assert (await desk.api.get(JOBS, headers=mallory.headers)).json()["data"] == []
    for wrong in ("job_0", "usr_1", str(JobId.new())):
        problem(await desk.get(f"{JOBS}/{wrong}"), 404, "not_found")
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        problem(await desk.api.get(f"{JOBS}/{job}", headers=headers), 401, "unauthenticated")


async def test_waiting_answers_as_soon_as_the_job_has_ended(desk: Desk):
    job = await desk.submit()
    waiting = asyncio.create_task(desk.get(f"{JOBS}/{job}", wait_s=50))
    await desk.work(job)
    assert (await asyncio.wait_for(waiting, 20)).json()["status"] == "succeeded"
    assert (await desk.get(f"{JOBS}/{job}", wait_s=50)).json()["status"] == "succeeded"
    problem(await desk.get(f"{JOBS}/{job}", wait_s=56), 422, "invalid")


async def test_waiting_ends_with_the_time_given(desk: Desk):
    job = await desk.submit()
    assert (await desk.get(f"{JOBS}/{job}", wait_s=0.05)).json()["status"] == "queued"


@asynccontextmanager
async def followed(desk: Desk, live_url: str, job: str, last: int = 0) -> AsyncIterator[AsyncIterator[str]]:
    headers = desk.alice.headers | {"Last-Event-ID": str(last)}
    async with (
        httpx.AsyncClient(trust_env=False) as client,
        client.stream("GET", f"{live_url}{JOBS}/{job}/events", headers=headers) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield answer.aiter_lines()


async def test_events_are_streamed_while_they_happen_and_end_with_the_job(desk: Desk, live_url: str):
    job = await desk.submit(split={"items_per_subtask": 5})
    async with followed(desk, live_url, job) as lines:
        seen = [await anext(lines)]
        while "event: job.queued" not in seen:
            seen.append(await anext(lines))
        await desk.work(job)
        seen += [line async for line in lines]
    events = list(parse_events(iter(seen)))
    assert [kind for _, kind, _ in events] == ["job.queued", "job.started", "job.progress", "job.succeeded"]
    assert [seq for seq, _, _ in events] == [1, 2, 3, 4]
    assert events[-1][2]["items_done"] == 10 and events[-1][2]["captured"]["usd_nanos"] > 0


async def test_a_stream_goes_on_where_it_broke_off(desk: Desk, live_url: str):
    job = await desk.submit()
    await desk.work(job)
    async with followed(desk, live_url, job, last=2) as lines:
        assert [seq for seq, _, _ in parse_events(iter([line async for line in lines]))] == [3, 4]
    async with followed(desk, live_url, job, last=4) as lines:
        assert list(parse_events(iter([line async for line in lines]))) == []


async def test_results_come_as_one_file_in_the_form_that_is_asked_for(desk: Desk):
    job = await desk.submit()
    await desk.work(job, failed=(1,))
    whole = await desk.get(f"{JOBS}/{job}/results", format="npz")
    arrays = np.load(io.BytesIO(whole.content))
    np.testing.assert_array_equal(np.delete(arrays["y"], 1, axis=0), np.delete(X * 2, 1, axis=0))
    assert arrays["failed_items"].tolist() == [1]
    listed = (await desk.get(f"{JOBS}/{job}/results", format="json")).json()
    assert listed["items"][1]["error"] == {"code": "corrupt_image", "detail": "not a PNG"}
    assert (await desk.get(f"{JOBS}/{job}/results", format="json", item=2)).json()["items"] == [listed["items"][2]]
    assert (await desk.get(f"{JOBS}/{job}/results", format="json", item=10)).status_code == 404
    archive = zipfile.ZipFile(io.BytesIO((await desk.get(f"{JOBS}/{job}/results", format="zip")).content))
    assert "errors.json" in archive.namelist() and "y/000002.npy" in archive.namelist()
    assert (await desk.get(f"{JOBS}/{job}/results", format="pickle")).status_code == 422
