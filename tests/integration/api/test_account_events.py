"""/api/v1/events: what happens to an account as one stream, bounded, and taken up again where it was left."""

import json
from contextlib import asynccontextmanager

import httpx
import pytest

from fabric.events import outbox
from fabric.events.stream import ACCOUNT_STREAMS_MAX
from tests.fixtures.api import register
from tests.fixtures.jobs import Workbench

PATH = "/api/v1/events"


@pytest.fixture
async def browser(live_url):
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=live_url, trust_env=False, limits=limits, timeout=30) as client:
        yield client


@asynccontextmanager
async def following(browser, headers, last=None):
    """The events of a stream as (id, name, data), one after another."""
    sent = headers if last is None else {**headers, "Last-Event-ID": last}
    async with browser.stream("GET", PATH, headers=sent) as answer:
        assert answer.status_code == 200, await answer.aread()

        async def events():
            fields = {}
            async for line in answer.aiter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif "data" in fields:
                    yield fields["id"], fields["event"], json.loads(fields["data"])
                    fields = {}
                else:
                    fields = {}

        yield events()


@pytest.fixture
async def bench(app, browser):
    """Somebody with credit, and the steps that a dispatcher would take for them."""
    person = await register(browser)
    bench = Workbench(app.state.services.database, owner=person.id)
    bench.person = person
    await bench.user(bench.lender)
    bench.version = await bench.model()
    await browser.post("/api/v1/wallet/top-ups", json={"amount_usd": "20"}, headers=person.headers)
    return bench


async def news(events):
    """The next event of the account itself; the network's figures may change at any time."""
    async for mark, name, data in events:
        if name != "network":
            return name, mark, data
    raise AssertionError("the stream ended")


async def tell(bench, job):
    """What submit does as well."""
    async with bench.database.transaction() as tx:
        await outbox.record(tx, job, "job.queued", {})


async def heard(events, name):
    """The next event of this name."""
    async for mark, kind, data in events:
        if kind == name:
            return mark, data
    raise AssertionError(f"the stream ended without {name}")


async def test_a_new_job_a_machine_and_money_are_told_to_whom_they_belong(bench, browser):
    headers = bench.person.headers
    async with following(browser, headers) as events:
        # Given somebody who watches with nothing in hand: they are told to read everything
        _, name, data = await anext(events)
        assert (name, data) == ("start_over", {"topics": ["jobs", "machines", "wallet", "network"]})
        # When they submit a job, it is told with its state, and so is what it set aside
        job = await bench.job(2)
        await tell(bench, job)
        _, told = await heard(events, "jobs")
        assert [(one["id"], one["status"], one["items_total"]) for one in told["changed"]] == [(str(job), "queued", 2)]
        _, purse = await heard(events, "wallet")
        assert purse["held"]["usd"] == "1.000000000"
        # And when a machine of theirs appears, and none of somebody else's
        await bench.provider()
        mine = await bench.provider(bench.person.id)
        await browser.patch(f"/api/v1/providers/{mine}", json={"state": "online"}, headers=headers)
        _, told = await heard(events, "machines")
        assert [(one["id"], one["status"], one["slots_busy"]) for one in told["changed"]] == [(str(mine), "online", 0)]


async def test_who_comes_back_with_the_last_mark_hears_only_what_changed_meanwhile(bench, browser):
    headers = bench.person.headers
    async with following(browser, headers) as events:
        mark, _, _ = await anext(events)
    # Given a stream that was cut off, and a job that was submitted meanwhile
    job = await bench.job(1, hold=0)
    async with following(browser, headers, last=mark) as events:
        name, mark, data = await news(events)
        assert (name, data["changed"][0]["id"]) == ("jobs", str(job))
    # When they come back once more and nothing happened, then the first thing that they hear is new
    async with following(browser, headers, last=mark) as events:
        machine = await bench.provider(bench.person.id)
        await browser.patch(f"/api/v1/providers/{machine}", json={"name": "attic"}, headers=headers)
        name, _, data = await news(events)
        assert (name, data["changed"][0]["id"]) == ("machines", str(machine))
        # And a schedule that they wish of it is told while it waits to be taken
        await browser.patch(f"/api/v1/providers/{machine}", json={"schedule": {"hours": "22-7"}}, headers=headers)
        name, _, data = await news(events)
        assert (name, data["changed"][0]["schedule_wanted"]["hours"]) == ("machines", "22-7")


async def test_a_mark_that_nobody_can_read_means_to_start_over(bench, browser):
    for mark in ("7", "jobs=1;machines=2", "jobs=;machines=;wallet=;network=", "x" * 900):
        async with following(browser, bench.person.headers, last=mark) as events:
            _, name, _ = await anext(events)
        assert name == "start_over", mark


async def test_the_figures_of_the_network_come_by_the_stream_as_well(bench, browser):
    async with following(browser, bench.person.headers) as events:
        await bench.provider()
        _, figures = await heard(events, "network")
        assert figures["providers_online"] == 1


async def test_a_key_hears_of_what_it_may_see_and_one_that_sees_nothing_is_refused(bench, browser):
    keys = {}
    for scope in ("jobs", "files"):
        made = await browser.post("/api/v1/api-keys", json={"label": scope, "scopes": [scope]}, headers=bench.person.headers)
        keys[scope] = {"Authorization": f"Bearer {made.json()['key']}"}
    async with following(browser, keys["jobs"]) as events:
        assert (await anext(events))[2] == {"topics": ["jobs", "network"]}
    refused = await browser.get(PATH, headers=keys["files"])
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def test_one_stream_too_many_of_an_account_ends_its_oldest_and_no_other(bench, browser):
    headers = bench.person.headers
    other = await register(browser)
    async with following(browser, other.headers) as theirs, following(browser, headers) as oldest:
        assert [(await anext(events))[1] for events in (theirs, oldest)] == ["start_over", "start_over"]
        async with many(browser, headers, ACCOUNT_STREAMS_MAX - 1), following(browser, headers) as newest:
            assert (await anext(newest))[1] == "start_over"
            assert [name async for _, name, _ in oldest if name == "start_over"] == []  # it ends
            await bench.provider()
            assert [(await heard(events, "network"))[1]["providers_online"] for events in (newest, theirs)] == [1, 1]


@asynccontextmanager
async def many(browser, headers, count):
    if count == 0:
        yield
        return
    async with following(browser, headers) as events:
        await anext(events)
        async with many(browser, headers, count - 1):
            yield
