"""A quote holds: a job gets what it was quoted or better, once, in time, and for that work only."""

import json

import pytest
from sqlalchemy import text

from fabric.core.ids import JobId, ModelId, QuoteId
from fabric.core.money import usd_nanos
from fabric.db.tables import jobs
from fabric.jobs.backlog import follow_demand
from tests.fixtures.api import register
from tests.fixtures.desk import BODY, JOBS, Desk, decide, problem
from tests.fixtures.jobs import RATE

QUOTES = "/api/v1/quotes"


async def quoted(desk: Desk, **changes) -> dict:
    answer = await desk.post({"model": "m", "items": 10} | changes, QUOTES)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def reprice(desk: Desk, rate: int) -> None:
    async with desk.bench.database.transaction() as tx:
        await tx.execute(text("UPDATE slots SET rate_nanos_per_hour = :rate"), {"rate": rate})


async def test_a_quote_says_range_rates_capacity_and_what_it_binds(desk: Desk):
    quote = await quoted(desk)
    assert (quote["items"], quote["commission_bps"]) == (10, 1000)
    assert quote["price_min"]["usd_nanos"] <= quote["price_expected"]["usd_nanos"] <= quote["price_max"]["usd_nanos"]
    assert quote["rate_min"] == quote["rate_max"] == quote["rate_bound"] == {"usd_nanos": RATE, "usd": "0.010000000"}
    assert 0.5 < quote["capacity"]["probability"] < 1
    assert quote["capacity"]["wait_s"] == 0
    nothing = await quoted(desk, requirements={"accelerator": ["npu"]})
    assert (nothing["capacity"]["probability"], nothing["capacity"]["wait_s"], nothing["rate_bound"]) == (0, None, None)


async def test_capacity_is_what_the_last_hour_makes_likely(desk: Desk, services):
    other = await desk.bench.job(items=100, item_us=1e6, hold=10**9)
    await desk.bench.claim(other, desk.machine)
    for _ in range(3):
        await follow_demand(desk.bench.database, services.settings.billing)
    busy = (await quoted(desk))["capacity"]
    assert busy["slots_free"] == 0
    assert 0 < busy["probability"] < 0.5
    assert busy["wait_s"] == pytest.approx(99 / (100 / 4500), rel=0.01)  # 99 s of work at speed 1, on a slot of speed 100/4500


async def test_a_job_with_a_quote_gets_its_rates_its_commission_and_its_hold(api, desk: Desk, operator):
    quote = await quoted(desk)
    await reprice(desk, 10 * RATE)
    await decide(api, operator, commission_bps=3000)
    job = (await desk.post(BODY | {"quote": quote["id"]})).json()
    assert (job["quote_id"], job["commission_bps"], job["cost"]["held"]) == (quote["id"], 1000, quote["hold"])
    (row,) = await desk.bench.rows(jobs, JobId.parse(job["id"]))
    assert row["rate_nanos_per_hour_max"] == RATE
    without = (await desk.post(BODY)).json()
    assert (without["commission_bps"], without["cost"]["held"]["usd_nanos"]) > (1000, quote["hold"]["usd_nanos"])


async def test_what_is_better_now_counts(api, desk: Desk, operator):
    quote = await quoted(desk)
    await decide(api, operator, commission_bps=500)
    job = (await desk.post(BODY | {"quote": quote["id"], "max_price_usd_per_hour": "0.009", "budget_usd": "0.5"})).json()
    assert (job["commission_bps"], job["cost"]["held"]["usd"]) == (500, "0.500000000")
    (row,) = await desk.bench.rows(jobs, JobId.parse(job["id"]))
    assert row["rate_nanos_per_hour_max"] == usd_nanos("0.009")


async def test_a_rate_that_follows_demand_cannot_outgrow_the_quote_while_it_holds(desk: Desk):
    async with desk.bench.database.transaction() as tx:
        await tx.execute(text("UPDATE slots SET is_auto = true"))
    bound = (await quoted(desk))["rate_bound"]["usd_nanos"]
    assert RATE * 1.10 <= bound <= RATE * 1.15
    assert (await quoted(desk, max_price_usd_per_hour="0.0105"))["rate_bound"]["usd"] == "0.010500000"


async def test_what_an_owner_asks_for_a_single_model_is_what_is_quoted_offered_and_bound(desk: Desk):
    before = await quoted(desk)
    async with desk.bench.database.transaction() as tx:
        query = text("SELECT v.model_id FROM quotes AS q JOIN model_versions AS v ON v.id = q.model_version_id WHERE q.id = :id")
        model_id = (await tx.execute(query, {"id": QuoteId.parse(before["id"])})).scalar_one()
        rates = json.dumps({str(ModelId.of(model_id)): 4 * RATE})
        await tx.execute(text("UPDATE slots SET model_rates = CAST(:rates AS jsonb)"), {"rates": rates})
    quote = await quoted(desk)
    assert before["rate_bound"]["usd_nanos"] == RATE
    assert quote["rate_min"]["usd_nanos"] == quote["rate_bound"]["usd_nanos"] == 4 * RATE
    offers = "/api/v1/marketplace/offers"
    prices = [
        [o["price_per_hour"]["usd_nanos"] for o in (await desk.get(offers, **q)).json()["data"]] for q in ({}, {"model": "m"})
    ]
    assert prices == [[RATE], [4 * RATE]]
    assert (await quoted(desk, max_price_usd_per_hour="0.01"))["capacity"]["slots_matching"] == 0
    async with desk.bench.database.transaction() as tx:
        await tx.execute(
            text("UPDATE slots SET model_rates = CAST(:rates AS jsonb)"), {"rates": rates.replace(str(4 * RATE), "null")}
        )
    assert (await quoted(desk))["capacity"]["slots_matching"] == 0
    assert (await desk.get(offers, model="m")).json()["data"] == []


async def test_a_quote_is_good_once_and_a_refused_job_does_not_use_it_up(desk: Desk):
    quote = await quoted(desk)
    problem(await desk.post(BODY | {"quote": quote["id"], "budget_usd": "5000"}), 402, "insufficient_funds")
    first = await desk.post(BODY | {"quote": quote["id"]})
    assert first.status_code == 201
    assert first.json()["id"] in problem(await desk.post(BODY | {"quote": quote["id"]}), 409, "quote_used")["detail"]


async def test_a_quote_ends_after_five_minutes(desk: Desk):
    quote = await quoted(desk)
    async with desk.bench.database.transaction() as tx:
        lasts = (await tx.execute(text("SELECT extract(epoch FROM expires_at - created_at) FROM quotes"))).scalar_one()
        assert lasts == 300
        await tx.execute(text("UPDATE quotes SET expires_at = now()"))
    problem(await desk.post(BODY | {"quote": quote["id"]}), 409, "quote_expired")
    assert await desk.count(jobs) == 0


async def test_anothers_quote_or_one_that_never_was_is_not_found(api, desk: Desk):
    stranger = await register(api)
    await desk.bench.model(stranger.id)
    theirs = (await api.post(QUOTES, json={"model": "m", "items": 10}, headers=stranger.headers)).json()["id"]
    for quote_id in (theirs, str(QuoteId.new()), "quo_1", "mine"):
        problem(await desk.post(BODY | {"quote": quote_id}), 404, "not_found")


@pytest.mark.parametrize(
    ("wanted", "differs"),
    [
        ({"items": 11}, "items"),
        ({"requirements": {"accelerator": ["cpu"]}}, "requirements"),
        ({"own_machines": True}, "requirements"),
    ],
)
async def test_a_quote_for_other_work_is_refused_and_stays_good(desk: Desk, wanted, differs):
    quote = await quoted(desk, **wanted)
    assert f"{differs} differ" in problem(await desk.post(BODY | {"quote": quote["id"]}), 422, "quote_mismatch")["detail"]
    assert await desk.count(jobs) == 0
    if differs == "requirements":
        assert (await desk.post(BODY | wanted | {"quote": quote["id"]}, JOBS)).status_code == 201


async def test_a_quote_and_a_dry_run_say_that_the_money_is_not_real(desk: Desk):
    for path, where in (("/api/v1/quotes", lambda said: said), (f"{JOBS}/dry-run", lambda said: said["quote"])):
        assert where((await desk.post(BODY, path)).json())["livemode"] is False
