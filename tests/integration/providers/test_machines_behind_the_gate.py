import json
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import text

from fabric.core.errors import FleetUnavailable, Forbidden, NotFound, Unauthenticated
from fabric.core.ids import ProviderId
from fabric.providers import enroll, grants, presence, store
from tests.fixtures.machines import NODE, RAY, a_machine, a_report, a_settings, a_token, a_user, an_application, rate_of

OUTER = RAY.model_copy(update={"gate_address": "203.0.113.5:6380"})
FAR = replace(an_application(), address="198.51.100.9")


@pytest.fixture
async def owner(database):
    return await a_user(database)


@pytest.fixture
async def machine(database, owner) -> ProviderId:
    return (await a_machine(database, owner)).provider_id


async def enrol(database, owner, ray=RAY, application=None) -> enroll.Enrolment:
    secret = await a_token(database, owner)
    async with database.transaction() as tx:
        return await enroll.enroll(tx, a_settings(ray), secret, application or an_application(), rate_of)


async def grant_of(database, provider_id) -> dict:
    async with database.reading() as reader:
        statement = text("SELECT * FROM gate_grants WHERE provider_id = :id")
        return dict((await reader.execute(statement, {"id": provider_id})).mappings().one())


async def bind(database, provider_id, node: str | None = NODE) -> None:
    """As the gate does when it accepts a node."""
    async with database.transaction() as tx:
        statement = text("UPDATE gate_grants SET node_id = :node WHERE provider_id = :id")
        await tx.execute(statement, {"node": node, "id": provider_id})


async def ready(database) -> set[ProviderId]:
    async with database.reading() as reader:
        return {slot.provider_id for slot in await store.ready_slots(reader, is_gated=True)}


# ── what a machine is told ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_machine_elsewhere_is_told_of_the_gate_and_never_of_the_cluster(database, owner):
    made = await enrol(database, owner, OUTER, FAR)
    assert made.session["ray"]["address"] == "203.0.113.5:6380"
    assert made.session["ray"]["loopback_address"] is None
    assert made.session["node_ip"] is None
    assert RAY.address not in json.dumps(made.session)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "203.0.113.5"])  # the last is the control node's own
async def test_a_machine_of_the_control_node_gets_a_place_of_its_own_too(database, owner, address):
    for number in (1, 2):
        made = await enrol(database, owner, OUTER, replace(FAR, address=address))
        assert made.session["ray"]["loopback_address"] == f"127.64.0.{number}:6380"
        assert made.session["ray"]["address"] == "203.0.113.5:6380"


async def test_a_machine_elsewhere_is_refused_while_the_gate_is_on_loopback_only(database, owner):
    with pytest.raises(FleetUnavailable, match="no address beyond loopback"):
        await enrol(database, owner, RAY, FAR)


async def test_when_every_place_on_the_control_node_is_taken_the_next_machine_is_told_so(database, owner):
    for _ in range(grants.LOOPBACK_NUMBERS_MAX):
        await a_machine(database, owner)
    with pytest.raises(FleetUnavailable, match="At most 32 machines"):
        await a_machine(database, owner)


async def test_the_key_is_new_for_each_session_and_kept_as_its_hash_only(database, owner):
    made = await enrol(database, owner)
    first = made.session["ray"]["gate_key"]
    assert (await grant_of(database, made.provider_id))["key_hash"] == grants.key_hash(first)
    async with database.transaction() as tx:
        known = await enroll.machine_of_credential(tx, made.credential)
        second = (await enroll.rejoin(tx, a_settings(), known, an_application(), rate_of))["ray"]
    row = await grant_of(database, made.provider_id)
    assert second["gate_key"] != first
    assert row["key_hash"] == grants.key_hash(second["gate_key"])
    assert second["loopback_address"] == made.session["ray"]["loopback_address"]
    assert second["gate_key"] not in str(row)


async def test_the_gate_learns_what_was_granted(database, owner):
    made = await enrol(database, owner)
    row = await grant_of(database, made.provider_id)
    assert row["labels"] == made.session["labels"]
    assert row["resources"] == made.session["resources"]


async def test_without_the_gate_machines_are_given_the_cluster(database, owner):
    open_ray = RAY.model_copy(update={"gate": False})
    session = (await enrol(database, owner, open_ray)).session
    assert session["ray"]["address"] == RAY.address
    assert session["ray"]["gate_key"] is None
    assert session["node_ip"] == "127.0.0.1"
    assert session["cluster"] != (await enrol(database, owner)).session["cluster"]


# ── which slots are believed ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_machine_is_ready_only_on_the_node_that_the_gate_accepted_for_it(database, machine):
    async with database.transaction() as tx:
        await presence.heartbeat(tx, machine, a_report())
    assert await ready(database) == set()
    await bind(database, machine, "b" * 56)
    assert await ready(database) == set()
    await bind(database, machine)
    assert await ready(database) == {machine}


async def test_a_machine_that_reports_anothers_node_is_not_believed(database, owner, machine):
    liar = (await a_machine(database, owner)).provider_id
    await bind(database, machine)
    async with database.transaction() as tx:
        await presence.heartbeat(tx, machine, a_report())
        await presence.heartbeat(tx, liar, a_report())
    assert await ready(database) == {machine}


# ── cutting off ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_banned_machine_is_out_everywhere_at_once_whoever_owns_it(database, app_url, owner):
    # Given a machine that works
    made = await a_machine(database, owner)
    await bind(database, made.provider_id)
    async with database.transaction() as tx:
        await presence.heartbeat(tx, made.provider_id, a_report())
    assert await ready(database) == {made.provider_id}
    # When the operator bans it
    with psycopg.connect(app_url, autocommit=True) as listening:
        listening.execute("LISTEN fabric_gate")
        listening.execute("LISTEN fabric_dispatch")
        async with database.transaction() as tx:
            await presence.ban(tx, made.provider_id, "returned rubbish")
        told = {note.channel for note in listening.notifies(timeout=10, stop_after=2)}
    # Then gate and dispatcher are told, and every door is closed
    assert told == {"fabric_gate", "fabric_dispatch"}
    assert await ready(database) == set()
    assert (await grant_of(database, made.provider_id))["banned_at"] is not None
    async with database.transaction() as tx:
        with pytest.raises(Unauthenticated):
            await enroll.machine_of_credential(tx, made.credential)
        with pytest.raises(Unauthenticated):
            await presence.heartbeat(tx, made.provider_id, a_report())
        with pytest.raises(Forbidden):
            await grants.write_grant(tx, made.provider_id, b"-", {}, {})
        state = (await tx.execute(text("SELECT status, agent_state FROM providers"))).one()
    assert state == ("removed", {"state": "banned", "reason": "returned rubbish"})


async def test_banning_twice_or_after_removal_keeps_the_first_moment(database, owner, machine):
    async def removed_at():
        async with database.reading() as reader:
            return (await reader.execute(text("SELECT removed_at FROM providers"))).scalar_one()

    async with database.transaction() as tx:
        await presence.remove(tx, owner, machine)
    first = await removed_at()
    async with database.transaction() as tx:
        await presence.ban(tx, machine, "late")
        await presence.ban(tx, machine, "again")
    assert await removed_at() == first


async def test_nobody_can_be_banned_who_is_not_there(database):
    async with database.transaction() as tx:
        with pytest.raises(NotFound):
            await presence.ban(tx, ProviderId.new(), "-")


async def test_what_an_owner_removes_is_cut_off_at_the_gate_too(database, owner, machine):
    async with database.transaction() as tx:
        await presence.remove(tx, owner, machine)
    assert (await grant_of(database, machine))["banned_at"] is not None
