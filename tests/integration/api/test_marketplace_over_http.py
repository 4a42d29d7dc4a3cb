"""What is on offer, as anybody with an account sees it."""

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from tests.fixtures.jobs import RATE

MARKET = "/api/v1/marketplace"


@pytest.fixture
async def see(api, alice):
    async def see(path, **params):
        answer = await api.get(f"{MARKET}{path}", params=params, headers=alice.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return see


async def test_offers_are_listed_cheapest_first_in_pages_without_their_owners(see, bench):
    for rate in (30, 10, 20):
        await bench.provider(rate=rate)
    first = await see("/offers", limit=2)
    second = await see("/offers", limit=2, cursor=first["next_cursor"])
    assert [o["price_per_hour"]["usd_nanos"] for o in first["data"] + second["data"]] == [10, 20, 30]
    assert first["data"][0]["price_per_hour"]["usd"] == "0.000000010"
    assert second["next_cursor"] is None
    assert first["data"][0]["provider_id"].startswith("prv_")
    assert str(bench.lender) not in str(first)
    assert not first["data"][0]["own"]


async def test_an_offer_says_how_models_are_kept_apart_from_its_machine(see, bench):
    await bench.provider()
    assert [offer["isolation"] for offer in (await see("/offers"))["data"]] == ["process"]


async def test_offers_can_be_narrowed_down(see, bench):
    await bench.provider()
    gpu = await bench.provider(accelerator="cuda", resource="fabric_cuda", execution_provider="CUDAExecutionProvider")
    assert [o["provider_id"] for o in (await see("/offers", accelerator="cuda"))["data"]] == [str(gpu)]
    assert (await see("/offers", region="mars"))["data"] == []


async def test_ones_own_machine_is_marked(see, bench, alice):
    await bench.provider(owner=alice.id)
    assert [o["own"] for o in (await see("/offers"))["data"]] == [True]


async def test_machines_that_are_away_offer_nothing(see, bench, database):
    machine = await bench.provider()
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE providers SET status = 'offline' WHERE id = :id"), {"id": machine})
    assert (await see("/offers"))["data"] == []
    assert (await see("/stats"))["slots_online"] == 0


async def test_only_public_models_are_shown(see, bench, database):
    await bench.model(name="secret")
    await bench.model(name="open")
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE models SET visibility = 'public' WHERE name = 'open'"))
    shown = (await see("/models"))["data"]
    assert [(m["name"], m["inputs"], m["outputs"]) for m in shown] == [("open", ["x"], ["y"])]


async def test_statistics_and_metrics_count_what_there_is(see, bench, api, database):
    machine = await bench.provider(slots_count=2)
    done, running = await bench.job(3), await bench.job(5)
    await bench.run(done, machine)
    await bench.claim(running, machine, 2)
    stats = await see("/stats")
    assert stats.pop("price_per_hour")["usd_nanos"] == 2 * RATE
    assert stats == {
        "providers_online": 1, "slots_online": 2, "slots_busy": 1, "models_public": 0, "jobs_open": 1, "jobs_day": 2, "items_day": 3,
    }  # fmt: skip
    families = text_string_to_metric_families((await api.get("/metrics")).text)
    facts = {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}
    assert facts["fabric_jobs", "succeeded"] == 1
    assert facts["fabric_jobs", "running"] == 1
    assert facts["fabric_subtasks", "leased"] == 2
    assert facts["fabric_subtasks", "waiting"] == 3
    assert facts["fabric_providers", "online"] == 1
    assert facts["fabric_ledger_trial_balance_nanos",] == 0


async def test_a_model_says_what_could_run_it_now_and_for_how_much(api, bench, database, alice):
    # Given a model of everybody's, two machines of somebody else, one that is too small, and one of the caller's own
    await bench.model(name="open", memory_bytes=2**30, item_us=1000.0)
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE models SET visibility = 'public' WHERE name = 'open'"))
    await bench.provider(rate=2_000_000)
    await bench.provider(rate=1_000_000)
    await bench.provider(owner=alice.id)
    await bench.provider(rate=1, memory_gib=0.5)  # too small
    # When it is looked at, in the list or alone
    (listed,) = (await api.get("/api/v1/models", headers=alice.headers)).json()["data"]
    shown = (await api.get("/api/v1/models/open", headers=alice.headers)).json()
    # Then it tells which slots would take it, and the price on the cheapest
    assert listed["now"] == shown["now"]
    assert (shown["now"]["slots"], shown["now"]["slots_free"], shown["now"]["slots_own"]) == (2, 2, 1)
    # (a million items of 1 ms on a slot of speed 1/45 are 12.5 hours)
    assert shown["now"]["price_per_million"]["usd_nanos"] == 12_500_000


async def test_an_owner_sees_what_a_machine_works_on_but_no_private_name_of_somebody_else(api, bench, database, alice):
    # Given a machine of hers with two slots, one of which works on somebody else's private model
    machine = await bench.provider(owner=alice.id, slots_count=2)
    await bench.claim(await bench.job(1), machine, 1)

    async def slots():
        (shown,) = (await api.get("/api/v1/providers", headers=alice.headers)).json()["data"]
        assert shown == (await api.get(f"/api/v1/providers/{machine}", headers=alice.headers)).json()
        return [(slot["is_busy"], slot["works_on"]) for slot in shown["slots"]]

    # Then she sees which slot works, and the model's name once it is everybody's
    assert await slots() == [(True, None), (False, None)]
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE models SET visibility = 'public'"))
    assert await slots() == [(True, "m"), (False, None)]
