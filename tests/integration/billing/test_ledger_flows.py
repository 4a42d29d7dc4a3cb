"""The named flows as Python calls them: top-up, hold, capture, release. The `database` fixture audits the books after each test."""

import pytest
from sqlalchemy import text

from fabric.billing import ledger, wallet
from fabric.billing.ledger import Capture, Finding
from fabric.billing.wallet import Balance
from fabric.core.errors import IdempotencyMismatch, InsufficientFunds
from fabric.core.ids import JobId, ProviderId, SubtaskId, UserId


class Story:
    """A requestor with 1000 nano-USD, a job and a provider."""

    def __init__(self, database):
        self.database = database
        self.user, self.job, self.provider = UserId.new(), JobId.new(), ProviderId.new()

    async def top_up(self, amount=1000, key="first"):
        async with self.database.transaction() as tx:
            return await ledger.top_up(tx, self.user, amount, key, {"livemode": False})

    async def hold(self, amount=600):
        async with self.database.transaction() as tx:
            return await ledger.place_hold(tx, self.user, self.job, amount)

    def line(self, gross=100, bps=1000, **changes):
        facts = {"subtask_id": SubtaskId.new(), "job_id": self.job, "provider_id": self.provider}
        return Capture(**(facts | changes), gross_nanos=gross, commission_bps=bps)

    async def capture(self, *lines):
        async with self.database.transaction() as tx:
            return await ledger.capture(tx, lines)

    async def release(self):
        async with self.database.transaction() as tx:
            return await ledger.release_hold(tx, self.user, self.job)

    async def balance(self):
        async with self.database.reading() as reader:
            return await wallet.balance(reader, self.user)

    async def pending(self, provider=None):
        return await self.of(f"provider:{(provider or self.provider).hex}:pending")

    async def of(self, name):
        kind, owner, rest = name.split(":")
        statement = text("SELECT balance_nanos FROM ledger.balances WHERE kind = :kind AND owner_id = CAST(:owner AS uuid)")
        async with self.database.reading() as reader:
            return (await reader.execute(statement, {"kind": f"{kind}:*:{rest}", "owner": owner})).scalar_one()


@pytest.fixture
async def story(database):
    story = Story(database)
    await story.top_up()
    return story


async def test_a_job_is_held_captured_and_released(story):
    await story.hold(600)
    assert await story.balance() == Balance(400, 600, 0, 0)
    (outcome,) = await story.capture(story.line(gross=101, bps=1000))
    assert (outcome.status, outcome.commission_nanos) == ("captured", 10)
    assert await story.pending() == 91
    assert await story.release() == 499
    assert await story.balance() == Balance(899, 0, 0, 0)


async def test_a_top_up_reported_twice_is_credited_once(story):
    assert await story.top_up() == await story.top_up()
    assert (await story.balance()).available_nanos == 1000


async def test_a_used_key_with_another_amount_is_an_error_and_credits_nothing(story):
    with pytest.raises(IdempotencyMismatch):
        await story.top_up(1001)
    assert (await story.balance()).available_nanos == 1000


async def test_a_hold_beyond_the_wallet_writes_nothing_and_the_transaction_may_go_on(story):
    async with story.database.transaction() as tx:
        with pytest.raises(InsufficientFunds) as refusal:
            await ledger.place_hold(tx, story.user, story.job, 1001)
        await ledger.place_hold(tx, story.user, story.job, 1000)
    assert refusal.value.fields == {"available_nanos": 1000, "wanted_nanos": 1001}
    assert await story.balance() == Balance(0, 1000, 0, 0)


async def test_somebody_without_a_wallet_cannot_hold(story):
    async with story.database.transaction() as tx:
        with pytest.raises(InsufficientFunds):
            await ledger.place_hold(tx, UserId.new(), story.job, 1)
    async with story.database.reading() as reader:
        holds = await reader.execute(text("SELECT count(*) FROM ledger.accounts WHERE holder_id IS NOT NULL"))
        assert holds.scalar_one() == 0


async def test_the_same_hold_again_is_nothing_even_when_the_wallet_is_empty(story):
    first = await story.hold(1000)
    assert await story.hold(1000) == first
    with pytest.raises(IdempotencyMismatch):
        await story.hold(999)


async def test_a_hold_dies_with_the_transaction_of_its_job(story):
    with pytest.raises(ZeroDivisionError):
        async with story.database.transaction() as tx:
            await ledger.place_hold(tx, story.user, story.job, 600)
            raise ZeroDivisionError
    assert await story.balance() == Balance(1000, 0, 0, 0)


async def test_a_release_again_tells_the_same_amount_and_moves_nothing(story):
    await story.hold(600)
    assert [await story.release(), await story.release()] == [600, 600]
    assert (await story.balance()).available_nanos == 1000


async def test_a_job_without_a_hold_has_nothing_to_release(story):
    assert await story.release() == 0


async def test_nothing_is_captured_after_the_release(story):
    await story.hold(600)
    await story.release()
    (outcome,) = await story.capture(story.line())
    assert (outcome.status, outcome.detail) == ("refused", "the hold is released")


async def test_bad_captures_keep_no_neighbour_from_being_written(story):
    await story.hold(600)
    good = [story.line(gross=n) for n in (100, 200, 300)]
    bad = [
        story.line(gross=0), story.line(gross=-1), story.line(bps=10_001), story.line(bps=-1), story.line(gross=2**63 - 1),
        story.line(job_id=JobId.new()), story.line(provider_id=None), story.line(gross=601),
    ]  # fmt: skip
    outcomes = await story.capture(*bad[:4], good[0], *bad[4:6], good[1], *bad[6:], good[2])
    assert [o.subtask_id for o in outcomes if o.status == "captured"] == [line.subtask_id for line in good]
    assert all(o.detail for o in outcomes if o.status == "refused")
    assert len([o for o in outcomes if o.status == "refused"]) == len(bad)
    assert await story.pending() == 540


async def test_a_smaller_capture_after_a_larger_one_still_fits(story):
    await story.hold(600)
    outcomes = await story.capture(story.line(gross=400), story.line(gross=300), story.line(gross=200))
    assert [o.status for o in outcomes] == ["captured", "refused", "captured"]


async def test_a_capture_told_twice_is_charged_once_also_within_a_batch(story):
    await story.hold(600)
    line = story.line()
    outcomes = await story.capture(line, line) + await story.capture(story.line(), line)
    assert [o.status for o in outcomes] == ["captured", "duplicate", "captured", "duplicate"]
    assert [o.commission_nanos for o in outcomes] == [10, 10, 10, 10]
    assert await story.pending() == 180


async def test_the_same_subtask_with_another_body_is_refused(story):
    await story.hold(600)
    line = story.line(gross=100)
    await story.capture(line)
    altered = [
        story.line(gross=99, subtask_id=line.subtask_id), story.line(bps=999, subtask_id=line.subtask_id),
        story.line(provider_id=ProviderId.new(), subtask_id=line.subtask_id),
        story.line(job_id=JobId.new(), subtask_id=line.subtask_id),
    ]  # fmt: skip
    outcomes = await story.capture(*altered)
    assert {(o.status, o.detail) for o in outcomes} == {("refused", "captured before with another body")}


@pytest.mark.parametrize(
    ("gross", "bps", "commission"), [(9, 1000, 0), (10, 1000, 1), (7, 10_000, 7), (7, 0, 0), (999_999, 333, 33_299)]
)
async def test_the_commission_rounds_down_and_the_provider_gets_the_rest(story, gross, bps, commission):
    await story.top_up(10**9, "more")
    await story.hold(10**6)
    (outcome,) = await story.capture(story.line(gross=gross, bps=bps))
    assert outcome.commission_nanos == commission
    assert await story.pending() == gross - commission


async def test_the_largest_amount_does_not_overflow_its_commission(story):
    most = 2**63 - 1 - 1000
    await story.top_up(most, "most")
    await story.hold(most)
    (outcome,) = await story.capture(story.line(gross=most, bps=9_999))
    assert outcome.commission_nanos == most * 9_999 // 10_000


async def test_the_rate_is_kept_with_each_capture(story):
    await story.hold(600)
    lines = [story.line(bps=1000), story.line(bps=500)]
    await story.capture(*lines)
    async with story.database.reading() as reader:
        rows = await reader.execute(text("SELECT subtask_id, commission_bps FROM ledger.transactions WHERE kind = 'capture'"))
        assert {(row.subtask_id.int, row.commission_bps) for row in rows} == {(c.subtask_id.int, c.commission_bps) for c in lines}


async def test_one_batch_spreads_over_jobs_and_providers(story):
    other, provider = JobId.new(), ProviderId.new()
    await story.hold(600)
    async with story.database.transaction() as tx:
        await ledger.place_hold(tx, story.user, other, 300)
    outcomes = await story.capture(
        story.line(100), story.line(200, job_id=other), story.line(101, job_id=other), story.line(300, provider_id=provider)
    )
    assert [o.status for o in outcomes] == ["captured", "captured", "refused", "captured"]
    assert [await story.pending(), await story.pending(provider)] == [270, 270]


async def test_no_captures_are_no_statement(story):
    assert await story.capture() == []


async def test_findings_name_the_audit_and_count_its_rows(owner_url):
    import psycopg

    from fabric.db.engine import Database

    with psycopg.connect(owner_url) as forger:
        forger.execute("SELECT ledger.top_up(gen_random_uuid(), 1000, 'first')")
        forger.execute("SET session_replication_role = replica")
        forger.execute("UPDATE ledger.accounts SET credits = credits + 1 WHERE kind = 'requestor:*:available'")
    books = Database(owner_url)
    async with books.reading() as reader:
        assert await ledger.audit(reader) == [Finding("audit_counters", 1)]
        assert await ledger.trial_balance(reader) == 0
    await books.close()
