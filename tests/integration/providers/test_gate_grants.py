"""Grants as rows: numbers of machines on the control node, what renewing keeps, what revoking frees, and that the gate is told."""

import asyncio
import json
import secrets

import psycopg
import pytest
from sqlalchemy import text

from fabric.core.errors import Forbidden
from fabric.core.ids import ProviderId
from fabric.gate import store
from fabric.gate.grants import Grants
from fabric.providers import grants
from tests.fixtures.machines import a_user

LABELS, RESOURCES = {"fabric.role": "provider"}, {"fabric_cpu": 2}


async def a_provider(database, owner=None) -> ProviderId:
    provider_id = ProviderId.new()
    owner = owner or await a_user(database)
    async with database.transaction() as tx:
        await tx.execute(
            text(
                "INSERT INTO providers (id, owner_id, name, credential_hash, capabilities, labels, agent_version)"
                " VALUES (:id, :owner, 'attic', :hash, '{}', '{}', '1')"
            ),
            {"id": provider_id, "owner": owner, "hash": secrets.token_bytes(32)},
        )
    return provider_id


async def write(database, provider_id, key="k", **options):
    async with database.transaction() as tx:
        return await grants.write_grant(tx, provider_id, grants.key_hash(key), LABELS, RESOURCES, **options)


async def read(database) -> Grants:
    async with database.reading() as reader:
        return Grants.of(await store.read_grants(reader))


async def revoke(database, provider_id):
    async with database.transaction() as tx:
        await grants.revoke(tx, provider_id)


async def bind(database, provider_id, peer):
    grant = (await read(database)).by_provider[provider_id]
    async with database.transaction() as tx:
        return await store.bind_peer(tx, grant, peer)


async def test_each_machine_of_this_host_has_a_number_of_its_own_and_keeps_it(database):
    first, second, far = [await a_provider(database) for _ in range(3)]
    assert [await write(database, first), await write(database, second)] == [1, 2]
    assert await write(database, far, is_local=False) is None
    assert await write(database, first, key="another") == 1
    await revoke(database, first)
    assert await write(database, await a_provider(database)) == 1  # free again


async def test_machines_that_enrol_at_the_same_time_get_different_numbers(database):
    machines = [await a_provider(database) for _ in range(8)]
    numbers = await asyncio.gather(*(write(database, machine) for machine in machines))
    assert sorted(numbers) == list(range(1, 9))


async def test_when_all_numbers_are_taken_the_machine_that_is_away_for_longest_gives_its_up(database):
    owner = await a_user(database)
    machines = [await a_provider(database, owner) for _ in range(grants.LOOPBACK_NUMBERS_MAX)]
    for machine in machines:
        await write(database, machine)
    late = await a_provider(database, owner)
    assert await write(database, late) is None  # all of them came a moment ago
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE gate_grants SET updated_at = now() - interval '1 hour'"))
        await tx.execute(text("UPDATE providers SET last_heartbeat_at = now(), status = 'online'"))
        statement = text("UPDATE providers SET status = 'offline', last_heartbeat_at = now() - interval '1 day' WHERE id = :id")
        await tx.execute(statement, {"id": machines[6]})
    assert await write(database, late) == 7
    assert (await read(database)).by_provider[machines[6]].loopback_number is None


async def test_renewing_changes_the_key_and_keeps_address_and_node(database):
    machine = await a_provider(database)
    await write(database, machine)
    assert await bind(database, machine, "10.9.0.2")
    grant = (await read(database)).by_provider[machine]
    async with database.transaction() as tx:
        assert await store.bind_node(tx, grant, "aa")
    await write(database, machine, key="new")
    renewed = (await read(database)).by_provider[machine]
    assert (renewed.peer, renewed.node_id, renewed.key_hash) == ("10.9.0.2", "aa", grants.key_hash("new"))
    assert renewed.labels == LABELS
    assert renewed.resources == RESOURCES


async def test_a_machine_that_moves_loses_its_node_and_who_takes_an_address_has_it_alone(database):
    machine, other = await a_provider(database), await a_provider(database)
    await write(database, machine)
    await write(database, other)
    await bind(database, machine, "10.9.0.2")
    async with database.transaction() as tx:
        await store.bind_node(tx, (await read(database)).by_provider[machine], "aa")
    await bind(database, machine, "10.9.0.3")
    assert (await read(database)).by_provider[machine].node_id is None
    await bind(database, other, "10.9.0.3")
    known = await read(database)
    assert known.of_peer("10.9.0.3").provider_id == other
    assert known.by_provider[machine].peer is None


async def test_a_node_is_bound_only_from_where_its_machine_is(database):
    machine = await a_provider(database)
    await write(database, machine)
    await bind(database, machine, "10.9.0.2")
    before = (await read(database)).by_provider[machine]
    await bind(database, machine, "10.9.0.3")
    async with database.transaction() as tx:
        assert not await store.bind_node(tx, before, "aa")


async def test_a_grant_that_was_renewed_meanwhile_binds_nothing(database):
    machine = await a_provider(database)
    await write(database, machine)
    stale = (await read(database)).by_provider[machine]
    await write(database, machine, key="new")
    async with database.transaction() as tx:
        assert not await store.bind_peer(tx, stale, "10.9.0.2")


async def test_who_was_cut_off_stays_so_and_is_seen_until_nothing_is_left_of_it(database):
    machine = await a_provider(database)
    await write(database, machine)
    await bind(database, machine, "10.9.0.2")
    async with database.transaction() as tx:
        await store.bind_node(tx, (await read(database)).by_provider[machine], "aa")
    await revoke(database, machine)
    await revoke(database, machine)
    grant = (await read(database)).by_provider[machine]
    assert (grant.is_banned, grant.node_id) == (True, "aa")
    async with database.reading() as reader:
        assert await grants.bound_node(reader, machine) is None
    with pytest.raises(Forbidden):
        await write(database, machine)
    async with database.transaction() as tx:
        await store.clear_banned(tx, machine)
    assert machine not in (await read(database)).by_provider


async def test_the_gate_is_told_of_grants_and_of_their_end(database, app_url):
    machine = await a_provider(database)
    async with await psycopg.AsyncConnection.connect(app_url, autocommit=True) as listener:
        await listener.execute(f"LISTEN {grants.GATE_CHANNEL}")
        for act in (write, revoke):
            await act(database, machine)
            assert [n.channel async for n in listener.notifies(timeout=10, stop_after=1)] == [grants.GATE_CHANNEL]


def test_a_key_is_stored_as_its_digest_only():
    key, hashed = grants.new_key()
    assert key.startswith("fgk_")
    assert hashed == grants.key_hash(key)
    assert key not in json.dumps(hashed.hex())
