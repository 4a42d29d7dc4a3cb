"""Months, spreadsheets, lines of corrections, windows, and the postings of money around jobs."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.billing import maturation, postings, statements
from fabric.billing.corrections import leg_of
from fabric.billing.fake_gateway import FakeGateway
from fabric.billing.statements import Statement, StatementRow
from fabric.core.errors import Invalid
from fabric.core.ids import JobId, PayoutId, ProviderId, RefundId, UserId
from fabric.core.money import whole_cents
from fabric.core.settings import BillingSettings

# The same in every process that collects these tests: they are parts of names of tests.
USER, OWNER = UserId(int=1), UserId(int=2)
JOB, MACHINE = JobId(int=3), ProviderId(int=4)
NOW = datetime(2026, 7, 31, tzinfo=UTC)
AMOUNTS = st.integers(1, 2**60)


def row(machine: str) -> StatementRow:
    return StatementRow(date(2026, 7, 3), "work", machine, 3, 1_500_000, 1_000, 100, 900)


def test_a_month_begins_and_ends_in_utc_also_in_december():
    assert statements.span_of("2026-12") == (datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("month", ["", "2026", "2026-13", "2026-00", "1999-05", "2026-7", "2026-07-01", "二〇二六-07"])
def test_what_is_no_month_is_refused(month):
    with pytest.raises(Invalid):
        statements.span_of(month)


@pytest.mark.parametrize("name", ["=1+1", "+49", "-2", "@sum", "\tx"])
def test_a_machine_cannot_smuggle_a_formula_into_a_spreadsheet(name):
    sheet = statements.as_csv(Statement(OWNER, "2026-07", (row(name),), livemode=False))
    assert f"'{name}" in sheet


def test_a_statement_as_pages_takes_any_name_and_says_that_play_money_is_none():
    pages = statements.as_pdf(Statement(OWNER, "2026-07", tuple(row("机器 ☃ ü") for _ in range(80)), livemode=False))
    assert pages.startswith(b"%PDF-")
    assert pages.count(b"/Type /Page\n") > 1
    assert pages == statements.as_pdf(Statement(OWNER, "2026-07", tuple(row("机器 ☃ ü") for _ in range(80)), livemode=False))


def test_a_line_of_a_correction_names_side_account_and_amount():
    leg = leg_of(f"C requestor:{USER}:available 1.50")
    assert (leg.side, leg.kind, leg.owner_id, leg.amount_nanos) == ("C", "requestor:*:available", USER, 1_500_000_000)
    assert leg_of("D platform:goodwill 0.000000001").amount_nanos == 1
    assert leg_of(f"D stripe_connected:{USER} 1").kind == "stripe_connected:*"


@pytest.mark.parametrize(
    "line",
    ["", "D", "D platform:goodwill", "D platform:goodwill 0", "D platform:goodwill -1", "D platform:goodwill NaN", "X platform:goodwill 1",
     "D platform:unknown 1", f"D provider:{USER}:pending 1", f"D job:{JOB}:hold 1", "D requestor:*:available 1", "D requestor:me:available 1"],
)  # fmt: skip
def test_what_is_no_line_is_refused(line):
    with pytest.raises(Invalid):
        leg_of(line)


def test_earnings_mature_sooner_with_a_good_record():
    billing = BillingSettings()
    long_ago, lately = NOW - timedelta(days=31), NOW - timedelta(days=29)
    assert maturation.window(NOW, lately, None, billing) == timedelta(days=7)
    assert maturation.window(NOW, long_ago, None, billing) == timedelta(days=2)
    assert maturation.window(NOW, long_ago, NOW - timedelta(days=89), billing) == timedelta(days=7)
    assert maturation.window(NOW, long_ago, NOW - timedelta(days=91), billing) == timedelta(days=2)


def test_a_good_record_never_makes_the_window_longer():
    billing = BillingSettings(maturation_days=1)
    assert maturation.window(NOW, NOW - timedelta(days=400), None, billing) == timedelta(days=1)


@given(nanos=st.integers(0, 2**62))
def test_whole_cents_and_a_residue_make_the_amount(nanos):
    cents = whole_cents(nanos)
    assert 0 <= nanos - cents < 10_000_000
    assert cents % 10_000_000 == 0


@given(amount=AMOUNTS, part=st.integers(0, 2**60), fee=st.integers(0, 10**10))
def test_every_fact_about_money_balances_and_moves_something(amount, part, fee):
    part = min(part, amount)
    facts = [
        postings.postings_for_stripe_fee(amount), postings.postings_for_promotion(USER, amount),
        postings.postings_for_paid_check(MACHINE, amount), postings.postings_for_maturation(MACHINE, OWNER, amount, part),
        postings.postings_for_debt_collected(OWNER, amount), postings.postings_for_payout_reserve(OWNER, amount),
        postings.postings_for_transfer(OWNER, amount), postings.postings_for_payout_paid(OWNER, amount),
        postings.postings_for_transfer_reversal(OWNER, amount), postings.postings_for_refund_reserve(USER, amount),
        postings.postings_for_refund_paid(USER, amount), postings.postings_for_hold(USER, JOB, amount, part),
        postings.postings_for_release(USER, JOB, amount, part),
        postings.postings_for_chargeback(USER, amount_nanos=amount, owed_nanos=part, fee_nanos=fee),
        postings.postings_for_chargeback_lost(USER, owed_nanos=amount, taken_nanos=part),
        *(
            postings.postings_for_clawback(
                USER, MACHINE, OWNER, gross_nanos=amount, commission_nanos=part, is_mature=is_mature, promotional_nanos=part
            )
            for is_mature in (True, False)
        ),
    ]  # fmt: skip
    for lines in facts:
        assert len(lines) >= 2
        assert postings.imbalance_nanos(lines) == postings.imbalance_nanos(postings.reverse_of(lines)) == 0
        assert all(line.amount_nanos > 0 for line in lines)


async def test_play_money_moves_on_at_the_second_look_and_is_never_real():
    gateway, payout, refund = FakeGateway(), PayoutId.new(), RefundId.new()
    sent = await gateway.make_bank_payout("k", "acct", 100, payout, 1)
    assert (sent.status, (await gateway.bank_payout("acct", sent.id)).status) == ("pending", "paid")
    assert (await gateway.make_bank_payout("k", "acct", 100, payout, 2)).id != sent.id
    back = await gateway.make_refund("k", "play_1", 100, refund)
    assert (back.status, (await gateway.refund(back.id)).status) == ("sent", "done")
    assert await gateway.make_transfer("k", "acct", 100, payout) == await gateway.make_transfer("other", "acct", 100, payout)
    assert not gateway.livemode
