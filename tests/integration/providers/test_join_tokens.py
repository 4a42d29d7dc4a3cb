import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text

from fabric.core.errors import Conflict, FabricError, FleetUnavailable, Invalid, NotFound, Unauthenticated
from fabric.core.ids import UserId
from fabric.core.settings import RaySettings
from fabric.providers import enroll, store, token_store
from tests.fixtures.machines import RAY, a_machine, a_settings, a_token, a_user, an_application, rate_of


async def live_tokens(database, owner: UserId) -> int:
    async with database.reading() as reader:
        return await token_store.count_live_join_tokens(reader, owner)


async def enrol(database, token: str, application=None, settings=None) -> enroll.Enrolment:
    async with database.transaction() as tx:
        return await enroll.enroll(tx, settings or a_settings(), token, application or an_application(), rate_of)


async def test_a_token_is_stored_as_a_hash_only(database):
    owner = await a_user(database)
    secret = await a_token(database, owner)
    async with database.reading() as reader:
        row = (await reader.execute(text("SELECT * FROM join_tokens"))).mappings().one()
    assert secret.startswith("fjt_")
    assert row["token_hash"] == enroll.secret_hash(secret)
    assert secret not in str(dict(row))


async def test_a_token_lets_in_as_many_machines_as_it_says(database):
    owner = await a_user(database)
    secret = await a_token(database, owner, uses_max=2)
    first, second = await enrol(database, secret), await enrol(database, secret)
    assert first.provider_id != second.provider_id
    with pytest.raises(Unauthenticated):
        await enrol(database, secret)
    assert await live_tokens(database, owner) == 0


async def test_ten_machines_at_once_cannot_use_one_token_twice(database):
    secret = await a_token(database, await a_user(database))
    results = await asyncio.gather(*(enrol(database, secret) for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(result, enroll.Enrolment) for result in results) == 1
    assert sum(isinstance(result, Unauthenticated) for result in results) == 9


async def test_expired_revoked_and_invented_tokens_let_nobody_in(database):
    owner = await a_user(database)
    expired, revoked = await a_token(database, owner), await a_token(database, owner)
    async with database.transaction() as tx:
        await tx.execute(
            text("UPDATE join_tokens SET expires_at = now() WHERE token_hash = :hash"), {"hash": enroll.secret_hash(expired)}
        )
        token = next(t for t in await token_store.list_join_tokens(tx, owner, None, 10) if revoked.startswith(t.hint))
        await token_store.revoke_join_token(tx, owner, token.id)
        await token_store.revoke_join_token(tx, owner, token.id)
    for secret in (expired, revoked, "fjt_invented", ""):
        with pytest.raises(Unauthenticated):
            await enrol(database, secret)


async def test_nobody_revokes_somebody_elses_token(database):
    owner, stranger = await a_user(database), await a_user(database)
    await a_token(database, owner)
    async with database.transaction() as tx:
        (token,) = await token_store.list_join_tokens(tx, owner, None, 10)
        assert await token_store.list_join_tokens(tx, stranger, None, 10) == []
        with pytest.raises(NotFound):
            await token_store.revoke_join_token(tx, stranger, token.id)


async def test_the_number_of_live_tokens_is_limited_also_when_asked_for_all_at_once(database):
    owner = await a_user(database)

    async def make() -> None:
        async with database.transaction() as tx:
            await enroll.create_join_token(tx, owner, label="x", uses_max=1, expires_s=60, live_max=3)

    results = await asyncio.gather(*(make() for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(result, Conflict) for result in results) == 5
    assert await live_tokens(database, owner) == 3


@pytest.mark.parametrize("limits", [{"uses_max": 0}, {"uses_max": 100_000}, {"expires_s": 0}, {"expires_s": 10**9}])
async def test_limits_of_a_token_are_checked(database, limits):
    with pytest.raises(Invalid):
        await a_token(database, await a_user(database), **limits)


@pytest.mark.parametrize(
    ("field", "version"), [("ray", "2.40.0"), ("python", "3.9.1"), ("fabric", "0.0.1")], ids=["ray", "python", "fabric"]
)
async def test_other_versions_are_refused_with_what_is_wanted_and_cost_no_use(database, field, version):
    owner = await a_user(database)
    secret = await a_token(database, owner)
    application = an_application()
    with pytest.raises(Conflict) as refusal:
        await enrol(database, secret, replace(application, versions=replace(application.versions, **{field: version})))
    assert refusal.value.fields["wanted"] == enroll.wanted_versions()
    assert version in refusal.value.detail
    assert await live_tokens(database, owner) == 1


async def test_another_patch_of_python_is_good_enough(database):
    secret = await a_token(database, await a_user(database))
    application = an_application()
    minor = ".".join(application.versions.python.split(".")[:2])
    assert await enrol(database, secret, replace(application, versions=replace(application.versions, python=f"{minor}.0")))


async def test_a_refused_enrolment_leaves_nothing_behind(database):
    owner = await a_user(database)
    secret = await a_token(database, owner)
    settings = a_settings()
    wrong: list[tuple[object, object, type[FabricError]]] = [
        (replace(an_application(), capabilities=replace(an_application().capabilities, slots=())), settings, Invalid),
        (an_application(), a_settings(ray=RaySettings()), FleetUnavailable),
        (an_application(), a_settings(limits={"providers_max": 0}), Conflict),
    ]
    for application, given, error in wrong:
        with pytest.raises(error):
            await enrol(database, secret, application, given)
    async with database.reading() as reader:
        assert await store.count_providers(reader, owner) == 0
        assert await token_store.count_live_join_tokens(reader, owner) == 1


async def test_enrolment_grants_labels_resources_and_a_credential_of_its_own(database):
    owner = await a_user(database)
    made = await a_machine(database, owner)
    session = made.session
    assert session["labels"]["fabric.provider-id"] == str(made.provider_id)
    assert session["resources"] == {"fabric_cpu": 2}
    assert session["ray"]["address"] == session["ray"]["loopback_address"] == f"127.64.0.1:{RAY.gate_port}"
    assert session["ray"]["token"] == RAY.token.get_secret_value()
    async with database.reading() as reader:
        machine = await enroll.machine_of_credential(reader, made.credential)
        row = (await reader.execute(text("SELECT * FROM providers"))).mappings().one()
    assert (machine.id, machine.owner_id, machine.status) == (made.provider_id, owner, "enrolled")
    assert [slot.rate_nanos_per_hour for slot in machine.slots] == [10_000_000, 10_000_000]
    assert made.credential not in str(dict(row))
    assert row["credential_hash"] == enroll.secret_hash(made.credential)


async def test_a_machine_away_from_the_control_node_gets_its_own_address_and_the_ports_of_the_firewall():
    labels: dict[str, str] = {}
    far = RAY.model_copy(update={"address": "10.0.0.1:6379", "provider_ports_start": 7001})
    session = enroll.session(far, labels, an_application().capabilities)
    assert session["node_ip"] is None
    assert session["ports"]["node_manager"] == 7001
    assert session["ports"]["worker_max"] - session["ports"]["worker_min"] >= 99
    assert session["cluster"] != enroll.session(RAY, labels, an_application().capabilities)["cluster"]


async def test_a_machine_that_comes_back_keeps_its_prices_and_its_pause(database):
    owner = await a_user(database)
    made = await a_machine(database, owner)
    async with database.transaction() as tx:
        await store.change_slot(tx, made.provider_id, 0, rate_nanos_per_hour=77)
        await store.change_provider(tx, made.provider_id, status="paused")
        machine = await enroll.machine_of_credential(tx, made.credential)
        application = an_application(slots=1)
        session = await enroll.rejoin(tx, a_settings(), machine, application, rate_of)
        machine = await enroll.machine_of_credential(tx, made.credential)
    assert session["resources"] == {"fabric_cpu": 1}
    assert machine.status == "paused"
    assert [slot.rate_nanos_per_hour for slot in machine.slots] == [77]
