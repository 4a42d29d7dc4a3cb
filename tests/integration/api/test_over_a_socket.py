"""Through uvicorn and a real socket: probes, metrics and streams."""

import asyncio

import httpx
import pytest
from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

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


async def test_a_fabric_without_its_database_is_alive_but_not_ready_and_still_counts(settings):
    nowhere = settings.database.model_copy(update={"app_url": SecretStr("postgresql://nobody@127.0.0.1:1/nothing")})
    lonely = settings.model_copy(update={"database": nowhere})
    async with started(create_app(lambda: wiring.build(lonely))) as app, client_of(app) as client:
        assert (await client.get("/livez")).status_code == 200
        away = await client.get("/readyz")
        assert (away.status_code, away.json()["code"]) == (503, "database_unavailable")
        assert int(away.headers["retry-after"]) >= 1
        counted = metrics_of(await client.get("/metrics"))
    assert counted["fabric_http_requests_total", "GET", "/livez", "200"] >= 1
    assert ("fabric_ledger_trial_balance_nanos",) not in counted


async def test_a_fabric_without_its_storage_is_not_ready_and_says_no_path(settings):
    broken = settings.model_copy(update={"home": settings.home / "file" / "x"})
    (settings.home / "file").write_text("no folder")
    async with started(create_app(lambda: wiring.build(broken))) as app, client_of(app) as client:
        away = await client.get("/readyz")
    assert (away.status_code, away.json()["code"]) == (503, "storage_unavailable")
    assert str(settings.home) not in away.text


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


async def assert_pieces(url, first_was_read):
    async with httpx.AsyncClient(trust_env=False) as client, client.stream("GET", f"{url}/pieces") as response:
        lines = response.aiter_lines()
        assert await anext(lines) == "one"
        first_was_read.set()
        assert await anext(lines) == "two"


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
        await assert_pieces(url, first_was_read)


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
