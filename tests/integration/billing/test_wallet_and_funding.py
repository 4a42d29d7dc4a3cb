"""What a user sees, and how money comes in."""

import pytest
from sqlalchemy import insert

from fabric.billing import funding, ledger, wallet
from fabric.billing.gateway import Payment
from fabric.billing.wallet import Balance
from fabric.core.errors import Conflict, IdempotencyMismatch, Invalid
from fabric.core.ids import Id, JobId, ProviderId, SubtaskId, TransactionId, UserId
from fabric.core.settings import BillingSettings
from fabric.db.tables import providers, users


async def top_up(database, user, amount, key, **more):
    async with database.transaction() as tx:
        return await funding.top_up_with_play_money(tx, user, amount, key, **more)


async def entries(database, user, before=None, limit=10):
    async with database.reading() as reader:
        return await wallet.entries(reader, user, before, limit)


async def balance(database, user):
    async with database.reading() as reader:
        return await wallet.balance(reader, user)


async def test_who_never_had_anything_has_zeros_and_no_entries(database):
    user = UserId.new()
    assert await balance(database, user) == Balance(0, 0, 0, 0)
    assert await entries(database, user) == []


async def test_play_money_is_credited_and_says_that_it_is_play_money(database):
    user = UserId.new()
    made = await top_up(database, user, 5_000, "key", request_id="req_1")
    assert (made.amount_nanos, made.livemode) == (5_000, False)
    (entry,) = await entries(database, user)
    assert (entry.id, entry.kind, entry.amount_nanos, entry.balance_nanos, entry.livemode) == (
        made.transaction_id, "topup", 5_000, 5_000, False,
    )  # fmt: skip


async def test_the_same_key_tops_up_once_for_each_user(database):
    one, other = UserId.new(), UserId.new()
    assert await top_up(database, one, 5_000, "key") == await top_up(database, one, 5_000, "key", request_id="another request")
    await top_up(database, other, 7_000, "key")
    assert [(await balance(database, user)).available_nanos for user in (one, other)] == [5_000, 7_000]
    with pytest.raises(IdempotencyMismatch):
        await top_up(database, one, 5_001, "key")


async def test_a_payment_that_is_not_paid_is_not_credited(database):
    user = UserId.new()
    async with database.transaction() as tx:
        with pytest.raises(Conflict):
            await funding.credit_payment(tx, Payment("pay_1", user, 5_000, "pending", livemode=True))
    assert (await balance(database, user)).available_nanos == 0


@pytest.mark.parametrize(
    ("amount", "is_fine"), [(9_999_999, False), (10_000_000, True), (2 * 10**9, True), (2 * 10**9 + 1, False)]
)
def test_a_top_up_has_a_smallest_and_a_largest_amount(amount, is_fine):
    billing = BillingSettings(top_up_usd_max="2")
    if is_fine:
        funding.check_amount(amount, billing)
    else:
        with pytest.raises(Invalid, match=r"between 0\.010000000 and 2\.000000000 USD"):
            funding.check_amount(amount, billing)


async def test_entries_tell_the_whole_story_newest_first_page_by_page(database):
    user, job = UserId.new(), JobId.new()
    await top_up(database, user, 1000, "key")
    async with database.transaction() as tx:
        await ledger.place_hold(tx, user, job, 600)
        await ledger.capture(tx, [ledger.Capture(SubtaskId.new(), job, ProviderId.new(), 100, 1000)])
    async with database.transaction() as tx:
        await ledger.release_hold(tx, user, job)
    everything = await entries(database, user)
    assert [(e.kind, e.amount_nanos, e.balance_nanos, e.job_id) for e in everything] == [
        ("release", 500, 900, job), ("hold", -600, 400, job), ("topup", 1000, 1000, None),
    ]  # fmt: skip
    first = await entries(database, user, limit=2)
    assert list(first) + list(await entries(database, user, before=first[-1].id)) == list(everything)


async def test_a_cursor_of_somebody_else_gives_nothing(database):
    user, other = UserId.new(), UserId.new()
    await top_up(database, user, 1000, "key")
    made = await top_up(database, other, 1000, "key")
    assert await entries(database, user, before=made.transaction_id) == []
    assert await entries(database, user, before=TransactionId.new()) == []


async def test_earnings_of_all_machines_of_an_owner_are_added_up_and_nobody_elses(database):
    owner, other, requestor, job = UserId.new(), UserId.new(), UserId.new(), JobId.new()
    machines = {ProviderId.new(): owner, ProviderId.new(): owner, ProviderId.new(): other}
    await top_up(database, requestor, 10_000, "key")
    async with database.transaction() as tx:
        for user in (owner, other):
            await tx.execute(insert(users).values(id=user, email=f"{user.hex}@example.com", password_hash="-"))
        for machine, user in machines.items():
            await tx.execute(insert(providers).values(**_machine(machine, user)))
        await ledger.place_hold(tx, requestor, job, 10_000)
        await ledger.capture(tx, [ledger.Capture(SubtaskId.new(), job, m, 1000, 1000) for m in machines])
    assert await balance(database, owner) == Balance(0, 0, 1800, 0)
    assert await balance(database, other) == Balance(0, 0, 900, 0)
    assert await balance(database, requestor) == Balance(0, 7000, 0, 0)


def _machine(provider_id: Id, owner: UserId):
    return {
        "id": provider_id, "owner_id": owner, "name": "machine", "credential_hash": provider_id.bytes, "capabilities": {}, "labels": {},
        "agent_version": "1",
    }  # fmt: skip
