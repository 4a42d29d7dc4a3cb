"""Work that is tried out, labelled, found, saved, retried and run again over HTTP; and results that go in time."""

import asyncio
import io

import numpy as np
import pytest
from sqlalchemy import select, text

from fabric.codecs.tensor import json_of_tensor
from fabric.core.ids import JobId
from fabric.db.tables import events, garbage_objects, jobs, mails, quotes
from fabric.jobs import retention, store
from fabric.storage.keys import file_key
from tests.fixtures.desk import BODY, JOBS, Desk, X

TEMPLATES = "/api/v1/job-templates"


async def retried(desk: Desk, job: str, body: dict | None = None, status: int = 201) -> dict:
    answer = await desk.post(body or {}, f"{JOBS}/{job}/retry")
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def test_a_dry_run_says_what_a_submit_would_do_and_does_nothing(desk: Desk, api):
    answer = await desk.post(BODY | {"split": {"items_per_subtask": 4}, "budget_usd": "0.5"}, f"{JOBS}/dry-run")
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["items"], said["subtasks"], said["items_per_subtask"], said["affordable"]) == (10, 3, 4, True)
    assert said["quote"]["hold"]["usd"] == "0.500000000"
    # Nothing was written, and a job that could not be submitted is refused in the same words
    assert [await desk.count(table) for table in (jobs, quotes, events)] == [0, 0, 0]
    poor = (await desk.post(BODY | {"budget_usd": "5000"}, f"{JOBS}/dry-run")).json()
    assert poor["affordable"] is False
    wrong = BODY | {"inputs": [{"name": "z", "tensor": json_of_tensor("z", X)}]}
    refusals = [await desk.post(wrong, path) for path in (JOBS, f"{JOBS}/dry-run")]
    assert refusals[0].status_code == 422
    assert refusals[0].json()["errors"] == refusals[1].json()["errors"]


async def test_what_was_not_delivered_is_done_again_and_nothing_else(desk: Desk):
    # Given a job in which one item of a finished subtask failed, and which was cancelled before its last four items
    job = await desk.submit(split={"items_per_subtask": 3}, labels={"sweep": "7"})
    await desk.work(job, 2, failed=(4,))
    assert (await desk.post({}, f"{JOBS}/{job}/retry")).status_code == 409
    assert (await desk.post({}, f"{JOBS}/{job}/cancel")).status_code == 200
    # When what is missing is retried
    again = await retried(desk, job)
    # Then these five items are a job of their own, which knows where they come from
    assert again["retry_of"] == job
    assert again["retried_items"] == [[4, 1], [6, 4]]
    assert again["progress"]["items_total"] == 5
    assert again["labels"] == {"sweep": "7"}
    # And it takes their very bytes
    row = (await desk.bench.rows(jobs, JobId.parse(again["id"])))[0]
    from fabric.jobs.split import slice_inputs

    (given,) = slice_inputs(row["inputs"], 0, 5)
    sent = np.frombuffer(b"".join(part.data or b"" for part in given.parts), np.float32).reshape(-1, 2)
    np.testing.assert_array_equal(sent, X[[4, 6, 7, 8, 9]])


async def test_there_is_nothing_to_retry_in_a_job_that_delivered_everything(desk: Desk):
    job = await desk.submit()
    await desk.work(job)
    assert "every item" in (await retried(desk, job, status=409))["detail"].lower()


async def test_a_retry_takes_other_limits_but_no_other_inputs(desk: Desk):
    job = await desk.submit()
    await desk.post({}, f"{JOBS}/{job}/cancel")
    assert (await retried(desk, job, {"budget_usd": "0.25"}))["cost"]["held"]["usd"] == "0.250000000"
    assert "rerun" in (await retried(desk, job, {"inputs": BODY["inputs"]}, status=422))["detail"]


async def test_a_retry_of_files_that_are_gone_is_refused_before_anything_is_held(desk: Desk):
    # Given a job over an uploaded file, which its owner then deleted
    buffer = io.BytesIO()
    np.save(buffer, X)
    files = {"file": ("x.npy", buffer.getvalue())}
    uploaded = (await desk.api.post("/api/v1/files", files=files, headers=desk.alice.headers)).json()["data"][0]["id"]
    job = await desk.submit(inputs=[{"name": "x", "file": uploaded}])
    await desk.post({}, f"{JOBS}/{job}/cancel")
    await desk.api.delete(f"/api/v1/files/{uploaded}", headers=desk.alice.headers)
    before = (await desk.get("/api/v1/wallet")).json()
    # Then it cannot be retried
    assert "deleted" in (await retried(desk, job, status=409))["detail"]
    assert (await desk.get("/api/v1/wallet")).json() == before


async def test_the_same_retry_twice_is_one_job(desk: Desk):
    job = await desk.submit()
    await desk.post({}, f"{JOBS}/{job}/cancel")
    answers = [await desk.post({}, f"{JOBS}/{job}/retry", **{"Idempotency-Key": "again"}) for _ in range(2)]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert await desk.count(jobs) == 2


async def test_a_job_is_run_again_with_other_inputs(desk: Desk):
    job = await desk.submit(priority="high", labels={"sweep": "7"})
    other = {"inputs": [{"name": "x", "tensor": json_of_tensor("x", X[:3])}], "labels": {"sweep": "8"}}
    answer = await desk.post(other, f"{JOBS}/{job}/rerun")
    assert answer.status_code == 201, answer.text
    again = answer.json()
    assert (again["progress"]["items_total"], again["priority"], again["labels"]) == (3, 10, {"sweep": "8"})
    same = (await desk.post({}, f"{JOBS}/{job}/rerun")).json()
    assert (same["progress"]["items_total"], same["retry_of"]) == (10, None)


async def test_a_template_is_a_job_that_is_said_once(desk: Desk, api, bob):
    # Given a template without inputs
    saved = await desk.post({"name": "nightly", "model": "m", "priority": "low", "budget_usd": "0.1"}, TEMPLATES)
    assert saved.status_code == 200, saved.text
    # Then jobs are made from it, with what else they say
    answer = await desk.post({"inputs": BODY["inputs"], "budget_usd": "0.2"}, f"{TEMPLATES}/nightly/jobs")
    assert answer.status_code == 201, answer.text
    assert (answer.json()["priority"], answer.json()["cost"]["held"]["usd"]) == (-10, "0.200000000")
    # And what is missing is told as for any body
    missing = await desk.post({}, f"{TEMPLATES}/nightly/jobs")
    assert (missing.status_code, missing.json()["errors"][0]["loc"]) == (422, ["inputs"])
    # It is its owner's alone, is replaced by its name, listed and deleted
    assert (await api.get(f"{TEMPLATES}/nightly", headers=bob.headers)).status_code == 404
    await desk.post({"name": "nightly", "model": "other"}, TEMPLATES)
    (listed,) = (await desk.get(TEMPLATES)).json()["data"]
    assert (listed["id"], listed["request"]) == (saved.json()["id"], {"model": "other"})
    assert (await desk.api.delete(f"{TEMPLATES}/nightly", headers=desk.alice.headers)).status_code == 204
    assert (await desk.get(f"{TEMPLATES}/nightly")).status_code == 404


async def test_the_number_of_templates_is_limited(desk: Desk, settings):
    settings.limits.__dict__["job_templates_max"] = 2
    answers = [await desk.post({"name": f"t{number}", "model": "m"}, TEMPLATES) for number in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 409]
    assert len((await desk.get(TEMPLATES)).json()["data"]) == 2


async def test_jobs_are_found_by_label_model_word_and_time(desk: Desk):
    first = await desk.submit(labels={"sweep": "7", "who": "anna"})
    second = await desk.submit(labels={"sweep": "8", "note": "100%_sure"})

    async def found(**params) -> list[str]:
        answer = await desk.get(JOBS, **params)
        assert answer.status_code == 200, answer.text
        return [job["id"] for job in answer.json()["data"]]

    assert await found(label="sweep:7") == [first]
    assert await found(label=["sweep:7", "who:anna"]) == [first]
    assert await found(label=["sweep:8", "who:anna"]) == []
    assert await found(model="m:1") == [second, first]
    assert await found(model="m:2") == []
    assert await found(q="ANNA") == [first]
    assert await found(q="%_s") == [second]
    moment = (await desk.get(f"{JOBS}/{second}")).json()["created_at"]
    assert await found(created_before=moment) == [first]
    assert await found(created_after=moment) == [second]
    assert (await desk.get(JOBS, label="sweep")).status_code == 422
    # Labels can be changed at any time
    changed = await desk.api.patch(f"{JOBS}/{first}", json={"labels": {"sweep": "9"}}, headers=desk.alice.headers)
    assert changed.json()["labels"] == {"sweep": "9"}
    assert await found(label="sweep:9") == [first]


@pytest.mark.parametrize("labels", [{"": "x"}, {"a b": "x"}, {"k": "x" * 201}, {f"k{i}": "" for i in range(21)}, {"k": 7}])
async def test_labels_that_are_none_are_refused(desk: Desk, labels):
    assert (await desk.post(BODY | {"labels": labels})).status_code == 422


async def test_results_are_kept_for_as_long_as_was_said_and_go_after_a_warning(desk: Desk, services, database):
    # Given two finished jobs, of which one asked for its results to be kept for two days
    short, long = await desk.submit(results_days=2), await desk.submit()
    for job in (short, long):
        await desk.work(job)
    key = file_key(JobId.parse(short))
    await _execute(
        database,
        "UPDATE subtasks SET output = NULL, output_key = :key WHERE job_id = :job AND position = 0",
        key=key,
        job=JobId.parse(short),
    )
    settings = services.settings
    # When a turn comes at once, it warns of what will go within three days, once
    assert await retention.expire_results(database, settings) == 1
    assert await retention.expire_results(database, settings) == 0
    shown = (await desk.get(f"{JOBS}/{short}")).json()
    assert (await desk.bench.event_types(JobId.parse(short)))[-1] == "job.results_expiring"
    assert (await desk.get(f"{JOBS}/{short}/results")).status_code == 200
    assert shown["results_deleted_at"] is None
    # And two days later they go, objects too, while the others stay
    await _execute(database, "UPDATE jobs SET finished_at = finished_at - interval '2 days'")
    assert await retention.expire_results(database, settings) == 1
    assert (await desk.bench.event_types(JobId.parse(short)))[-1] == "job.results_deleted"
    for path in ("/results", "/results/y", "/results?format=parts"):
        gone = await desk.get(f"{JOBS}/{short}{path}")
        assert (gone.status_code, gone.json()["code"]) == (410, "results_deleted")
    assert await desk.count(garbage_objects) == 1
    assert (await desk.get(f"{JOBS}/{long}/results/y")).status_code == 200
    # But what was paid, and who did it, stays
    assert (await desk.get(f"{JOBS}/{short}")).json()["cost"] == shown["cost"]


async def test_who_was_to_keep_results_for_long_hears_by_mail_that_they_go_once_for_all_of_them(desk: Desk, services, database):
    # Given two jobs whose results were kept for a month, and one whose owner wanted them for a day only
    kept = [await desk.submit(), await desk.submit()]
    brief = await desk.submit(results_days=1)
    for job in (*kept, brief):
        await desk.work(job)
    await _execute(database, "UPDATE jobs SET finished_at = now() - interval '28 days' WHERE results_kept_s > 86400")
    # When their time is nearly over, and the owner's address is known to be theirs
    address, whose = "ada@example.com", "id IN (SELECT owner_id FROM jobs)"
    await _execute(database, f"UPDATE users SET email = '{address}', email_verified_at = now() WHERE {whose}")
    assert await retention.expire_results(database, services.settings) == 3
    # Then one mail names the two, when they go, and where they can be had until then
    async with database.reading() as reader:
        (mail,) = (await reader.execute(select(mails.c.subject, mails.c.body).where(mails.c.recipient == address))).all()
    assert mail.subject == "Results of 2 jobs will be deleted soon"
    assert all(job in mail.body for job in kept)
    assert brief not in mail.body
    assert "/console/jobs" in mail.body


async def test_one_turn_deletes_no_more_than_a_share(desk: Desk, services, database):
    for _ in range(3):
        await desk.work(await desk.submit(results_days=0.0001, split={"items_per_subtask": 1}))
    await _execute(database, "UPDATE jobs SET finished_at = finished_at - interval '1 day'")
    async with database.transaction() as tx:
        assert [len(await store.lock_expired_results(tx, 10, most)) for most in (1, 20, 1000)] == [1, 2, 3]
        assert len(await store.lock_expired_results(tx, 2, 1000)) == 2


async def test_two_turns_at_once_delete_once(desk: Desk, services, database):
    job = await desk.submit(results_days=0.0001)
    await desk.work(job)
    await _execute(database, "UPDATE jobs SET finished_at = finished_at - interval '1 day', results_warned_at = now()")
    turns = await asyncio.gather(*(retention.expire_results(database, services.settings) for _ in range(2)))
    assert sum(turns) == 1


async def _execute(database, statement: str, **values) -> None:
    async with database.transaction() as tx:
        await tx.execute(text(statement), values)
