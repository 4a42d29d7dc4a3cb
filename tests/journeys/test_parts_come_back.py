"""Dispatcher, gateway, head, database and machines end in the middle of work and come back by themselves; nothing is lost or doubled."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import httpx
import numpy as np
import pytest

from benchmarks.trivial import upload_trivial
from fabric.client import Client, JobFailed
from fabric.local.machine_part import ProviderPart
from fabric.local.up import LocalFabric
from tests.fixtures.fabric import machines_online
from tests.fixtures.healing import LongJob, kill, process_of_the_head, replicas
from tests.fixtures.trivial_fabric import eventually

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]

HEARTBEAT = ": still here"
SILENCE_S = 20.0  # a heartbeat is due every 15 s
NOWHERE = {"region": ["the-moon"]}


# ── the control node ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_killed_dispatcher_is_replaced_and_the_job_goes_on(fabric: LocalFabric, long_job: LongJob):
    (before,) = replicas(fabric, "Dispatcher")
    job = long_job.disturbed(lambda: kill(before))
    long_job.assert_nothing_lost_or_doubled(job)
    assert before not in replicas(fabric, "Dispatcher")
    # What it had under way was given back, and is not held against the subtasks.
    reasons = {a["error"]["code"] for s in job.subtasks() for a in s["attempts"] if a["outcome"] != "done"}
    assert reasons == {"dispatcher_restarted"}


@pytest.mark.chaos
@pytest.mark.parametrize("part", ["gcs_server", "everything"])
def test_a_killed_head_comes_back_and_the_job_goes_on(fabric: LocalFabric, long_job: LongJob, part: str):
    head = fabric.part("ray-head")
    (before,) = head.marks()
    node_before = head.node_id
    job = long_job.disturbed(lambda: kill(process_of_the_head(fabric, part) if part == "gcs_server" else before))
    long_job.assert_nothing_lost_or_doubled(job)
    assert head.node_id != node_before
    # And the machines serve the new head
    upload_trivial(long_job.client)
    again = long_job.client.submit("trivial", np.ones((3, 4), np.float32)).wait(60, progress=False)
    np.testing.assert_array_equal(again.result("y"), np.full((3, 4), 3, np.float32))


@pytest.mark.chaos
def test_a_killed_database_comes_back_and_the_job_goes_on(fabric: LocalFabric, long_job: LongJob):
    # Given a job, and another one that is submitted again and again from the moment of the kill on
    upload_trivial(long_job.client)
    seen: list[httpx.Response] = []

    def kill_and_submit() -> None:
        kill(fabric.part("postgres").marks()[0])
        eventually(lambda: seen.append(submit_once(fabric, "through-the-crash")) or seen[-1].status_code == 201, f"{seen}")

    # When the database is killed
    job = long_job.disturbed(kill_and_submit)
    # Then the first job is whole
    long_job.assert_nothing_lost_or_doubled(job)
    # And the other was refused with 503 and a time to come back, until it was accepted, once
    refused = seen[:-1]
    print(f"{len(refused)} submissions were refused in between")
    assert {answer.status_code for answer in refused} <= {503}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
    accepted = seen[-1].json()["id"]
    assert submit_once(fabric, "through-the-crash").json()["id"] == accepted
    long_job.client.job(accepted).wait(60, progress=False)


# ── the gateway ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_clients_that_wait_and_submit_while_the_gateway_is_killed_notice_nothing(fabric: LocalFabric, client: Client):
    upload_trivial(client)
    (before,) = replicas(fabric, "Gateway")
    jobs_before = {job["id"] for job in client.jobs.list(limit=200)}
    item = np.ones((1, 4), np.float32)
    keys = [f"gateway-{number}" for number in range(16)]
    with ThreadPoolExecutor(20) as pool:
        # Given clients that wait for a job, and others that submit
        waiting = [client.submit("trivial", item, requirements=NOWHERE, deadline_s=15) for _ in range(4)]
        watching = [pool.submit(lambda job=job: [kind for _, kind, _ in job.events()]) for job in waiting]
        submitting = [pool.submit(client.submit, "trivial", item, idempotency_key=key) for key in keys]
        # When the gateway is killed
        submitting[0].result()
        kill(before)
        # Then each has the job that it submitted, once
        jobs = [answer.result() for answer in submitting]
        again = [client.submit("trivial", item, idempotency_key=key) for key in keys]
        assert [job.id for job in again] == [job.id for job in jobs]
        now = {job["id"] for job in client.jobs.list(limit=200)}
        assert now - jobs_before == {job.id for job in [*jobs, *waiting]}
        for job in jobs:
            job.wait(60, progress=False)
        # And the watchers saw everything to the end, each event once
        for kinds in watching:
            assert kinds.result().count("job.queued") == 1
            assert kinds.result()[-1] == "job.failed"
    assert before not in replicas(fabric, "Gateway")


# ── a machine ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def third_machine(fabric: LocalFabric, client: Client) -> Iterator[ProviderPart]:
    """One more machine, warm, which nobody starts again."""
    part = fabric.assembly.provider(3, fabric.credentials.join_token, 1)
    try:
        part.start()
        eventually(lambda: part.machine_name in {m["name"] for m in machines_online(fabric)}, "it did not join")
        upload_trivial(client)
        only = {"providers": {"only": [id_of(fabric, part.machine_name)]}}
        client.submit("trivial", np.ones((1, 4), np.float32), requirements=only).wait(60, progress=False)
        yield part
    finally:
        part.stop()


@pytest.mark.slow
def test_a_machine_that_is_asked_to_end_finishes_its_orders_first(
    fabric: LocalFabric, long_job: LongJob, third_machine: ProviderPart
):
    name = third_machine.machine_name
    # Given a job on which the machine works
    job = long_job.submit()
    eventually(lambda: name in {p["name"] for p in job.refresh().cost["by_provider"]}, "it got no work")
    # When its agent is asked to end
    (agent,) = third_machine.pids["agent"]
    os.kill(agent, signal.SIGTERM)
    # Then it leaves in order, the job is whole, and no attempt of it was lost
    eventually(lambda: not third_machine.marks()[0].is_alive(), "it did not leave")
    assert third_machine.failure() is None
    job.wait(200, progress=False)
    long_job.assert_nothing_lost_or_doubled(job)
    mine = [a for s in job.subtasks() for a in s["attempts"] if a["provider_id"] == id_of(fabric, name)]
    assert {a["outcome"] for a in mine} == {"done"}


# ── watchers ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize("heartbeats", [2, pytest.param(40, marks=pytest.mark.timeout(900))])
def test_an_idle_stream_stays_open_with_heartbeats_and_events_still_arrive(fabric: LocalFabric, client: Client, heartbeats: int):
    upload_trivial(client)
    # Given somebody who watches a job for which there is no machine
    job = client.submit("trivial", np.ones((1, 4), np.float32), requirements=NOWHERE)
    with streaming(fabric, job.id) as lines:
        # When nothing happens for a while, there is a sign of life every 15 seconds
        seen = 0
        while seen < heartbeats:
            seen += next(lines) == HEARTBEAT
        # Then what happens afterwards arrives, on the same stream, which ends with the job
        job.cancel()
        assert "event: job.cancelled" in list(lines)


def test_fifty_watchers_stop_nobody(fabric: LocalFabric, client: Client):
    upload_trivial(client)
    job = client.submit("trivial", np.ones((1, 4), np.float32), requirements=NOWHERE)
    with ExitStack() as open_streams, ThreadPoolExecutor(10) as pool:
        # Given fifty streams, and ten who wait for the job's end
        streams = [open_streams.enter_context(streaming(fabric, job.id)) for _ in range(50)]
        assert [next(lines) for lines in streams] == ["retry: 2000"] * 50
        waiting = [pool.submit(client.job(job.id).wait, 100, progress=False) for _ in range(10)]
        try:
            # When somebody else works meanwhile, it is as ever
            other = client.submit("trivial", np.ones((2, 4), np.float32)).wait(60, progress=False)
            np.testing.assert_array_equal(other.result("y"), np.full((2, 4), 3, np.float32))
            assert not any(answer.done() for answer in waiting)
        finally:
            job.cancel()
        # Then all are told of the end
        assert ["event: job.cancelled" in list(lines) for lines in streams] == [True] * 50
        for answer in waiting:
            with pytest.raises(JobFailed, match="cancelled"):
                answer.result()


# ── how it is asked ──────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def streaming(fabric: LocalFabric, job_id: str) -> Iterator[Iterator[str]]:
    """The lines of a job's event stream; nothing at all for more than `SILENCE_S` is an error."""
    headers = {"Authorization": f"Bearer {fabric.api_key}", "Accept": "text/event-stream"}
    timeout = httpx.Timeout(30.0, read=SILENCE_S)
    url = f"{fabric.url}/api/v1/jobs/{job_id}/events"
    with httpx.stream("GET", url, headers=headers, timeout=timeout, trust_env=False) as answer:
        assert answer.status_code == 200
        yield answer.iter_lines()


def submit_once(fabric: LocalFabric, key: str) -> httpx.Response:
    """One attempt at submitting one item, without the client's retries."""
    tensor = {"datatype": "FP32", "shape": [1, 4], "data": [1, 1, 1, 1]}
    body = {"model": "trivial", "inputs": [{"name": "x", "tensor": tensor}]}
    headers = {"Authorization": f"Bearer {fabric.api_key}", "Idempotency-Key": key}
    return httpx.post(f"{fabric.url}/api/v1/jobs", json=body, headers=headers, timeout=60, trust_env=False)


def id_of(fabric: LocalFabric, machine: str) -> str:
    """The provider id of one of the owner's machines."""
    with Client(fabric.url, fabric.owner_api_key) as owner:
        return next(m["id"] for m in owner.providers.list() if m["name"] == machine)
