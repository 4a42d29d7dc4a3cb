"""Through uvicorn and a real socket: probes, metrics, streams, and the app as Ray Serve copies it."""

import asyncio
import pickle

import httpx
import pytest
from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from prometheus_client.parser import text_string_to_metric_families

from fabric import wiring
from fabric.api.app import create_app
from fabric.api.dependencies import EventsDep, ServicesDep
from fabric.core.ids import JobId
from fabric.events import outbox
from tests.fixtures.api import client_of, register, serving, started


@pytest.fixture
async def browser(live_url):
    async with httpx.AsyncClient(base_url=live_url, trust_env=False) as client:
        yield client


def metrics_of(answer):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text) for sample in family.samples
    }  # fmt: skip


async def test_somebody_registers_and_is_recognised_over_a_real_connection(browser):
    person = await register(browser)
    me = await browser.get("/api/v1/auth/me", headers=person.headers)
    assert me.json()["email"] == person.email


async def test_probes_answer_and_the_documentation_is_there(browser):
    assert (await browser.get("/livez")).json() == {"status": "ok"}
    assert (await browser.get("/readyz")).json() == {"status": "ok"}
    assert "swagger" in (await browser.get("/docs")).text
    assert (await browser.get("/openapi.json")).json()["info"]["title"] == "Fabric"


async def test_a_fabric_without_its_database_is_alive_but_not_ready_and_still_counts(browser, app, app_url):
    await browser.get("/livez")
    app.state.services.database.__init__(app_url.replace("/?", "0/?").replace(".s.", "x") + "&port=1")
    away = await browser.get("/readyz")
    assert (away.status_code, away.json()["code"]) == (503, "database_unavailable")
    assert int(away.headers["retry-after"]) >= 1
    assert (await browser.get("/livez")).status_code == 200
    counted = metrics_of(await browser.get("/metrics"))
    assert counted["fabric_http_requests_total", "GET", "/livez", "200"] >= 1
    assert ("fabric_ledger_trial_balance_nanos",) not in counted


async def test_metrics_tell_of_requests_jobs_machines_and_books(browser):
    before = metrics_of(await browser.get("/metrics"))
    await browser.get("/api/v1/auth/me")
    await browser.get("/no/such/route")
    await browser.request("BREW", "/livez")
    after = metrics_of(await browser.get("/metrics"))

    def grown(*key):
        return after[key] - before.get(key, 0)

    assert grown("fabric_http_requests_total", "GET", "/api/v1/auth/me", "401") == 1
    assert grown("fabric_http_requests_total", "GET", "unmatched", "404") == 1
    assert not any("BREW" in key for key in after)
    assert grown("fabric_http_request_seconds_count", "GET", "/api/v1/auth/me") == 1
    assert after["fabric_ledger_trial_balance_nanos",] == 0
    assert after["fabric_subtasks", "waiting"] == 0
    assert after["fabric_event_watchers",] == 0


async def test_a_stream_is_passed_on_piece_by_piece(settings):
    # Given a route whose second piece is sent only when the first has been read
    first_was_read = asyncio.Event()
    router = APIRouter()

    async def pieces():
        yield "one\n"
        await first_was_read.wait()
        yield "two\n"

    router.add_api_route("/pieces", lambda: StreamingResponse(pieces()), methods=["GET"])
    async with started(create_app(lambda: wiring.build(settings), routes=[router])) as app, serving(app) as url:
        async with httpx.AsyncClient(trust_env=False) as client, client.stream("GET", f"{url}/pieces") as response:
            lines = response.aiter_lines()
            assert await anext(lines) == "one"
            first_was_read.set()
            assert await anext(lines) == "two"


async def test_an_event_reaches_a_waiting_request(settings, a_told_job):
    router = APIRouter()
    waits = asyncio.Event()

    @router.get("/wait/{job_id}")
    async def wait(job_id: str, hub: EventsDep, services: ServicesDep) -> list[str]:
        waits.set()
        with hub.watching():
            return [event.type for event in await hub.wait(JobId.parse(job_id), 0, 60)]

    async with started(create_app(lambda: wiring.build(settings), routes=[router])) as app, client_of(app) as client:
        waiting = asyncio.create_task(client.get(f"/wait/{a_told_job}"))
        await waits.wait()
        async with app.state.services.database.transaction() as tx:
            await outbox.record(tx, a_told_job, "job.queued", {})
        assert (await waiting).json() == ["job.queued"]


def test_an_app_can_be_copied_into_a_replica(settings):
    import cloudpickle

    copied = pickle.loads(cloudpickle.dumps(create_app(lambda: wiring.build(settings))))
    assert copied.title == "Fabric"
    assert len(copied.routes) == len(create_app(lambda: wiring.build(settings)).routes)
