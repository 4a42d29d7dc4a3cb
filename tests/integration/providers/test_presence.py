import asyncio
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import text

from fabric.api.schemas.providers import ProviderOut
from fabric.core.errors import Invalid, NotFound, Unauthenticated
from fabric.core.ids import ProviderId
from fabric.providers import enroll, presence, store
from fabric.providers.rates import RATE_NANOS_PER_HOUR_MIN
from tests.fixtures.leases import lease, settle_all
from tests.fixtures.machines import NODE, a_machine, a_report, a_settings, a_user, an_application, rate_of


@pytest.fixture
async def owner(database):
    return await a_user(database)


@pytest.fixture
async def machine(database, owner) -> ProviderId:
    return (await a_machine(database, owner)).provider_id


async def beat(database, machine, **report) -> presence.Orders:
    async with database.transaction() as tx:
        return await presence.heartbeat(tx, machine, a_report(**report))


async def ready(database) -> list[tuple[ProviderId, int, str, str]]:
    async with database.reading() as reader:
        return [
            (slot.provider_id, slot.slot, slot.node_id, slot.status) for slot in await store.ready_slots(reader, is_gated=False)
        ]


async def status(database, owner, machine) -> str:
    async with database.reading() as reader:
        return (await store.provider(reader, owner, machine)).status


async def change(database, owner, machine, **changes) -> store.Provider:
    async with database.transaction() as tx:
        return await presence.change(tx, owner, machine, presence.Changes(**changes))


async def age(database, seconds: float, *machines) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            text(
                "UPDATE providers SET last_heartbeat_at = now() - make_interval(secs => :s) WHERE id = ANY(CAST(:ids AS uuid[]))"
            ),
            {"s": seconds, "ids": list(machines)},
        )


async def test_a_machine_is_open_for_work_when_its_node_lives(database, owner, machine):
    assert await ready(database) == []
    assert (await beat(database, machine, node=None, state="starting")).desired == "run"
    assert await ready(database) == []
    await beat(database, machine)
    assert await ready(database) == [(machine, 0, NODE, "online"), (machine, 1, NODE, "online")]
    assert await status(database, owner, machine) == "online"


async def test_a_new_node_of_the_same_machine_is_told(database, machine):
    await beat(database, machine)
    await beat(database, machine, node="b" * 56)
    assert {node for _, _, node, _ in await ready(database)} == {"b" * 56}
    await beat(database, machine, node=None, state="starting")
    assert await ready(database) == []


async def test_the_dispatcher_is_woken_by_news_and_left_alone_otherwise(database, machine, app_url):
    async with await psycopg.AsyncConnection.connect(app_url, autocommit=True) as listener:
        await listener.execute("LISTEN fabric_dispatch")
        await beat(database, machine)
        await beat(database, machine)
        await beat(database, machine, node="b" * 56)
        await beat(database, machine, node="b" * 56)
        heard = [note.payload async for note in listener.notifies(timeout=0.2)]
    assert heard == ["slots", "slots"]


async def test_a_machine_that_drains_finishes_its_orders_and_leaves(database, owner, machine):
    await beat(database, machine)
    await lease(database, owner, machine, orders=2)
    async with database.transaction() as tx:
        orders = await presence.drain(tx, await store.provider(tx, owner, machine))
    assert orders == presence.Orders("drain", 2)
    assert await beat(database, machine, state="draining") == presence.Orders("drain", 2)
    assert {state for _, _, _, state in await ready(database)} == {"draining"}
    await settle_all(database)
    assert await beat(database, machine, state="draining") == presence.Orders("leave", 0)
    await beat(database, machine, state="left")
    assert await ready(database) == []
    assert await status(database, owner, machine) == "offline"


async def test_a_machine_that_left_may_come_back(database, owner):
    made = await a_machine(database, owner)
    async with database.transaction() as tx:
        await presence.drain(tx, await store.provider(tx, owner, made.provider_id))
    await beat(database, made.provider_id, state="left")
    async with database.transaction() as tx:
        machine = await enroll.machine_of_credential(tx, made.credential)
        await enroll.rejoin(tx, a_settings(), machine, an_application(), rate_of)
    assert (await beat(database, made.provider_id)).desired == "run"
    assert await status(database, owner, made.provider_id) == "online"


async def test_pause_takes_nothing_new_and_survives_heartbeats(database, owner, machine):
    await beat(database, machine)
    assert (await change(database, owner, machine, state="paused")).status == "paused"
    assert (await beat(database, machine)).desired == "pause"
    assert {state for _, _, _, state in await ready(database)} == {"paused"}
    assert (await change(database, owner, machine, state="online")).status == "online"
    assert (await beat(database, machine)).desired == "run"


async def test_a_machine_that_holds_back_by_itself_takes_nothing_new_until_it_says_so(database, owner, machine):
    held = {"by": "schedule", "detail": "lends at 22-7", "until": None}
    await beat(database, machine, holding=held)
    assert {state for _, _, _, state in await ready(database)} == {"paused"}
    async with database.reading() as reader:
        seen = ProviderOut.of(await store.provider(reader, owner, machine), {})
    assert (seen.status, seen.holding and seen.holding.by) == ("paused", "schedule")
    # It is not the owner's pause at the fabric, so the machine's own word ends it
    await beat(database, machine)
    assert {state for _, _, _, state in await ready(database)} == {"online"}


async def test_the_dispatcher_hears_of_holding_back_once(database, machine, app_url):
    await beat(database, machine)
    async with await psycopg.AsyncConnection.connect(app_url, autocommit=True) as listener:
        await listener.execute("LISTEN fabric_dispatch")
        for detail in ("81 °C", "82 °C"):
            await beat(database, machine, holding={"by": "temperature", "detail": detail})
        await beat(database, machine)
        heard = [note.payload async for note in listener.notifies(timeout=0.2)]
    assert heard == ["slots", "slots"]


async def test_resuming_a_machine_that_is_away_does_not_make_it_online(database, owner, machine):
    await beat(database, machine)
    await change(database, owner, machine, state="paused")
    await beat(database, machine, state="left")
    assert (await change(database, owner, machine, state="online")).status == "offline"


async def test_prices_change_for_one_slot_or_for_all(database, owner, machine):
    changed = await change(database, owner, machine, rate_nanos_per_hour=500_000, name="attic", slots=((1, 700_000, False),))
    assert changed.name == "attic"
    assert [(slot.rate_nanos_per_hour, slot.enabled) for slot in changed.slots] == [(500_000, True), (700_000, False)]
    await beat(database, machine)
    assert [state for _, _, _, state in await ready(database)] == ["online", "paused"]


async def test_wrong_prices_and_unknown_slots_change_nothing(database, owner, machine):
    for wrong in (10**18, RATE_NANOS_PER_HOUR_MIN - 1, 0):
        with pytest.raises(Invalid, match=r"between 0\.0001 and a million USD"):
            await change(database, owner, machine, rate_nanos_per_hour=wrong)
        with pytest.raises(Invalid):
            await change(database, owner, machine, slots=((0, wrong, None),))
    with pytest.raises(NotFound):
        await change(database, owner, machine, name="never", slots=((9, RATE_NANOS_PER_HOUR_MIN, None),))
    async with database.reading() as reader:
        assert (await store.provider(reader, owner, machine)).name == "attic-1"


async def test_a_removed_machine_is_cut_off_at_once(database, owner):
    made = await a_machine(database, owner)
    await beat(database, made.provider_id)
    async with database.transaction() as tx:
        await presence.remove(tx, owner, made.provider_id)
    assert await ready(database) == []
    with pytest.raises(Unauthenticated):
        await beat(database, made.provider_id)
    async with database.reading() as reader:
        with pytest.raises(Unauthenticated):
            await enroll.machine_of_credential(reader, made.credential)
        with pytest.raises(NotFound):
            await store.provider(reader, owner, made.provider_id)


async def test_a_heartbeat_and_a_removal_at_once_never_leave_a_removed_machine_ready(database, owner):
    for _ in range(5):
        machine = (await a_machine(database, owner)).provider_id

        async def remove(machine=machine) -> None:
            async with database.transaction() as tx:
                await presence.remove(tx, owner, machine)

        await asyncio.gather(beat(database, machine), remove(), beat(database, machine), return_exceptions=True)
        assert await ready(database) == []


async def test_strangers_see_and_change_nothing(database, machine):
    stranger = await a_user(database)
    with pytest.raises(NotFound):
        await change(database, stranger, machine, name="mine")
    async with database.transaction() as tx:
        assert await store.list_providers(tx, stranger, None, 10) == []
        with pytest.raises(NotFound):
            await presence.remove(tx, stranger, machine)


async def test_a_silent_machine_goes_offline_while_others_are_heard(database, owner, machine):
    other = (await a_machine(database, owner)).provider_id
    await beat(database, machine)
    await beat(database, other)
    await age(database, presence.SILENT_S + 1, machine)
    assert await presence.mark_offline(database) == 1
    assert await status(database, owner, machine) == "offline"
    assert await status(database, owner, other) == "online"
    await beat(database, machine)
    assert await status(database, owner, machine) == "online"


async def test_when_nobody_is_heard_the_fault_may_be_ours_and_patience_is_longer(database, owner, machine):
    other = (await a_machine(database, owner)).provider_id
    for each in (machine, other):
        await beat(database, each)
    await age(database, presence.SILENT_S + 5, machine, other)
    assert await presence.mark_offline(database) == 0
    await age(database, presence.ALL_SILENT_S + 1, machine, other)
    assert await presence.mark_offline(database) == 2
    assert await presence.mark_offline(database) == 0


async def test_a_paused_machine_that_falls_silent_stays_paused_but_is_not_ready(database, owner, machine):
    await beat(database, machine)
    await change(database, owner, machine, state="paused")
    await age(database, presence.ALL_SILENT_S + 1, machine)
    assert await presence.mark_offline(database) == 1
    assert await status(database, owner, machine) == "paused"
    assert await ready(database) == []


async def test_another_schedule_is_news_and_the_same_one_is_not(database, owner, machine):
    # Given a machine that said when it lends
    schedule = {"hours": None, "revision": 0, "refused": None}
    async with database.transaction() as tx:
        await presence.heartbeat(tx, machine, replace(a_report(), schedule=schedule))
    seen = []
    for said in (schedule, {**schedule, "hours": "22-7"}, {**schedule, "hours": "22-7"}):
        async with database.transaction() as tx:
            found = await store.record_beat(tx, machine, node_id=NODE, agent_state={"schedule": said}, has_left=False)
        assert found is not None
        seen.append(found.is_news)
    assert seen == [False, True, False]
