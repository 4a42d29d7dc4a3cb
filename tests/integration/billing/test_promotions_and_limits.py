"""Credit that is given, earnings that mature, results that are taken back, limits, corrections, statements."""

import csv
import io
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import text

from fabric.billing import clawbacks, corrections, flows, ledger, limits, maturation, promotions, statements, wallet
from fabric.billing.statements import read_statement
from fabric.core.errors import IdempotencyMismatch, Invalid, NotFound, SpendingLimit, WalletClosed, WalletFrozen
from fabric.core.ids import AttemptId, JobId, ProviderId, SubtaskId, UserId
from fabric.db.engine import Database
from fabric.db.tables import attempts
from tests.fixtures.jobs import Workbench
from tests.fixtures.money import BILLING, USD, Till


async def give(till: Till, user: UserId, amount: int, giver: UserId | None = None, reason: str = "welcome") -> None:
    async with till.database.transaction() as tx:
        await promotions.give_credit(tx, giver or UserId.new(), user, amount, reason, billing=BILLING)


async def balance(till: Till, user: UserId) -> wallet.Balance:
    async with till.database.reading() as reader:
        return await wallet.balance(reader, user)


async def test_gifts_are_spent_first_and_what_is_left_of_a_hold_is_own_money_first(till: Till):
    user = await till.user(credit=10 * USD)
    await give(till, user, 3 * USD)
    async with till.database.transaction() as tx:
        hold = await ledger.place_hold(tx, user, job := JobId.new(), 8 * USD)
        assert hold.promotional_nanos == 3 * USD
        await ledger.capture(tx, [ledger.Capture(SubtaskId.new(), job, ProviderId.new(), 2 * USD, 0)])
    async with till.database.transaction() as tx:
        assert await ledger.release_hold(tx, user, job) == 6 * USD
    assert await balance(till, user) == wallet.Balance(10 * USD, 0, 0, 0, promotional_nanos=1 * USD)


async def test_what_a_gift_has_paid_comes_back_as_a_gift(till: Till):
    user, owner = await till.user(credit=USD), await till.user()
    machine, job = await till.machine(owner), JobId.new()
    await give(till, user, USD)
    subtasks = [SubtaskId.new() for _ in range(2)]
    async with till.database.transaction() as tx:
        await ledger.place_hold(tx, user, job, 2 * USD)
        await ledger.capture(tx, [ledger.Capture(subtask, job, machine, 800_000_000, 1000) for subtask in subtasks])
    for subtask in subtasks:
        async with till.database.transaction() as tx:
            taken = await clawbacks.claw_back(tx, subtask, "wrong")
        assert (taken.returned_nanos, taken.owed_nanos, taken.requestor_id) == (800_000_000, 0, user)
    found = await balance(till, user)
    assert (found.promotional_nanos, found.available_nanos) == (USD, 600_000_000)
    assert await till.balance("platform:commission") == 0


@pytest.mark.parametrize(("amount", "reason"), [(0, "x"), (-5, "x"), (1001 * USD, "x"), (USD, "  ")])
async def test_a_gift_of_nothing_or_too_much_or_without_a_reason_is_refused(till: Till, amount: int, reason: str):
    with pytest.raises(Invalid):
        await give(till, await till.user(), amount, reason=reason)


async def test_nobody_gives_to_somebody_unknown(till: Till):
    with pytest.raises(NotFound):
        await give(till, UserId.new(), USD)


# ── limits ──


async def test_a_wallet_without_a_row_is_open_and_one_that_is_closed_stays_so(till: Till):
    user = UserId.new()
    async with till.database.transaction() as tx:
        (await limits.read_wallet(tx, user)).require_open()
        await limits.freeze(tx, user, "looked into")
        with pytest.raises(WalletFrozen, match="looked into"):
            (await limits.read_wallet(tx, user)).require_open()
        await limits.close_wallet(tx, user, "wished")
        await limits.thaw(tx, user)
        with pytest.raises(WalletClosed):
            (await limits.read_wallet(tx, user)).require_open()


async def test_a_limit_of_nothing_is_no_limit_and_null_takes_one_away(till: Till):
    user = await till.user()
    async with till.database.transaction() as tx:
        with pytest.raises(Invalid):
            await limits.set_limits(tx, user, day_nanos=0, job_nanos=None)
        state = await limits.set_limits(tx, user, day_nanos=5, job_nanos=3)
        with pytest.raises(SpendingLimit, match="for one job"):
            state.require_within(4, 0)
        with pytest.raises(SpendingLimit, match="for a day"):
            state.require_within(3, 3)
        state.require_within(3, 2)
        (await limits.set_limits(tx, user, day_nanos=None, job_nanos=None)).require_within(10**18, 10**18)


# ── maturation ──


async def test_earnings_mature_after_their_window_and_a_clawback_spoils_a_record(till: Till, owner_url: str):
    owner = await till.user()
    machine = await till.machine(owner)
    await till.earn(machine, 2 * USD)
    assert await maturation.mature_earnings(till.database, BILLING) == 0
    assert await till.balance("provider:*:pending", machine) == 2 * USD
    await _age(owner_url, "3 days")
    assert await maturation.mature_earnings(till.database, BILLING) == 0
    await _age(owner_url, "5 days")
    bad = await till.earn(machine, USD)
    assert await maturation.mature_earnings(till.database, BILLING) == 1
    assert await till.balance("provider:*:available", owner) == 2 * USD
    # A machine that has earned for long matures sooner, until a result of it was bad
    await _age(owner_url, "40 days")
    good = await till.earn(machine, USD)
    await _age(owner_url, "3 days")
    async with till.database.transaction() as tx:
        await clawbacks.claw_back(tx, bad, "wrong")
    assert await maturation.mature_earnings(till.database, BILLING) == 0
    await _age(owner_url, "91 days")
    assert await maturation.mature_earnings(till.database, BILLING) == 1
    assert (await till.balance("provider:*:available", owner), await till.balance("provider:*:pending", machine)) == (3 * USD, 0)
    assert good != bad


async def _age(owner_url: str, by: str) -> None:
    """Let everything so far have happened earlier, as only the owner of the server can."""
    async with await psycopg.AsyncConnection.connect(owner_url) as forger:
        await forger.execute("SET LOCAL session_replication_role = replica")
        await forger.execute(f"UPDATE ledger.transactions SET created_at = created_at - interval '{by}'")
        await forger.execute(f"UPDATE ledger.accounts SET opened_at = opened_at - interval '{by}'")
        await forger.execute(f"UPDATE ledger.maturities SET last_clawback_at = last_clawback_at - interval '{by}'")


async def test_earnings_do_not_mature_before_their_time_whoever_asks(till: Till):
    owner = await till.user()
    machine = await till.machine(owner)
    with pytest.raises(Invalid):
        async with till.database.transaction() as tx:
            await flows.mature(tx, machine, owner, datetime.now(UTC) + timedelta(days=1))


async def test_a_check_that_the_platform_pays_is_earned_once(till: Till):
    machine, attempt = await till.machine(await till.user()), AttemptId.new()
    for _ in range(2):
        async with till.database.transaction() as tx:
            await flows.pay_check(tx, attempt, machine, 500)
    assert (await till.balance("provider:*:pending", machine), await till.balance("platform:verification")) == (500, 500)


async def test_a_result_that_was_never_paid_cannot_be_taken_back(till: Till):
    async with till.database.transaction() as tx:
        with pytest.raises(NotFound):
            await clawbacks.claw_back(tx, SubtaskId.new(), "wrong")


async def test_what_the_payment_service_keeps_is_counted_once(till: Till):
    for _ in range(2):
        async with till.database.transaction() as tx:
            await flows.stripe_fee(tx, "txn_1", 3)
    with pytest.raises(IdempotencyMismatch):
        async with till.database.transaction() as tx:
            await flows.stripe_fee(tx, "txn_1", 4)
    assert await till.balance("platform:stripe_fees") == 3


# ── corrections ──


async def test_an_operator_corrects_with_a_name_and_a_reason(till: Till, owner_url: str):
    user = await till.user(credit=USD)
    lines = [f"C requestor:{user}:available 0.25", "D platform:goodwill 0.25"]
    owner = Database(owner_url)
    legs = [corrections.leg_of(line) for line in lines]
    made = {await corrections.correct(owner, "case 7", legs, operator="Ada", reason="the machine room burned") for _ in range(2)}
    assert (len(made), await till.balance("requestor:*:available", user)) == (1, 1_250_000_000)
    async with till.database.reading() as reader:
        rows = (await reader.execute(text("SELECT transaction_id, operator, reason FROM corrections"))).all()
        (entry, _) = await wallet.entries(reader, user, None, 10)
    assert [(row.operator, row.reason) for row in rows] == [("Ada", "the machine room burned")]
    assert entry.kind == "correction"
    too_much = [corrections.leg_of(line) for line in (f"D requestor:{user}:available 9", "C platform:goodwill 9")]
    with pytest.raises(Invalid):
        await corrections.correct(owner, "case 8", too_much, operator="Ada", reason="more than there is")
    with pytest.raises(Invalid):
        await corrections.correct(owner, "case 9", legs, operator=" ", reason="nobody did it")
    with pytest.raises(Invalid):
        await corrections.correct(owner, "case 9", legs[:1], operator="Ada", reason="one side")
    await owner.close()


async def test_the_application_cannot_correct(till: Till):
    legs = [corrections.leg_of("D platform:goodwill 1"), corrections.leg_of("C platform:stripe 1")]
    with pytest.raises(Exception, match="permission denied"):
        await corrections.correct(till.database, "mine", legs, operator="me", reason="I want it")


# ── statements ──


async def test_a_statement_tells_a_month_of_work_clawbacks_and_payouts(bench: Workbench):
    till = Till(bench.database)
    machine = await bench.provider()
    await bench.run(job := await bench.job(items=3), machine)
    await till.earn(machine, 40 * USD, requestor=bench.owner)
    await till.mature(machine, bench.lender)
    await till.onboard(bench.lender)
    await till.ask_payout(bench.lender, 30 * USD)
    async with bench.database.reading() as reader:
        now = (await reader.execute(text("SELECT now()"))).scalar_one()
        month = f"{now:%Y-%m}"
        statement = await read_statement(reader, bench.lender, month, livemode=False)
        nothing = [
            await read_statement(reader, bench.lender, "2024-02", livemode=False),
            await read_statement(reader, bench.owner, month, livemode=False),
        ]
    shown = await bench.rows(attempts, job)
    work = [row for row in statement.rows if row.kind == "work"]
    assert sum(row.subtasks for row in work) == 3
    assert sum(row.gross_nanos for row in work) == sum(row["gross_nanos"] for row in shown)
    assert statement.earned_nanos == sum(row["gross_nanos"] - row["commission_nanos"] for row in shown)
    assert [row.net_nanos for row in statement.rows if row.kind == "payout"] == [-30 * USD]
    assert [found.rows for found in nothing] == [(), ()]
    table = list(csv.reader(io.StringIO(statements.as_csv(statement))))
    assert tuple(table[0]) == statements.COLUMNS
    assert len(table) == 1 + len(statement.rows)
    assert statements.as_pdf(statement).startswith(b"%PDF-")
