"""Each audit finds what it is for: the books are forged as only the owner of the server can (triggers off), then rolled back."""

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from fabric.billing.chart import CHART
from fabric.billing.ledger import AUDITS

HOLD = "(SELECT id FROM ledger.accounts WHERE kind = 'job:*:hold')"
PENDING = "(SELECT id FROM ledger.accounts WHERE kind = 'provider:*:pending')"
CAPTURE = "(SELECT id FROM ledger.transactions WHERE kind = 'capture')"
COMMISSION = "(SELECT id FROM ledger.accounts WHERE kind = 'platform:commission')"

FORGERIES = {
    "a changed amount": (f"UPDATE ledger.entries SET amount = amount + 1 WHERE account_id = {PENDING}", "audit_unbalanced"),
    "a lost line": (f"DELETE FROM ledger.entries WHERE account_id = {COMMISSION}", "audit_unbalanced"),
    "a transaction without lines": (f"DELETE FROM ledger.entries WHERE transaction_id = {CAPTURE}", "audit_unbalanced"),
    "a counter": (f"UPDATE ledger.accounts SET credits = credits + 1 WHERE id = {PENDING}", "audit_counters"),
    "a sequence": (f"UPDATE ledger.accounts SET seq = seq + 1 WHERE id = {PENDING}", "audit_counters"),
    "a running balance": (f"UPDATE ledger.entries SET balance = balance + 1 WHERE account_id = {PENDING}", "audit_running_balances"),
    "a gap": (f"UPDATE ledger.entries SET seq = seq + 5 WHERE account_id = {PENDING}", "audit_numbering"),
    "a number where none belongs": (f"UPDATE ledger.entries SET seq = 1 WHERE account_id = {COMMISSION}", "audit_numbering"),
    "a line below zero": (f"UPDATE ledger.entries SET balance = -1 WHERE account_id = {HOLD} AND seq = 2", "audit_overdrafts"),
    "another rate": (f"UPDATE ledger.transactions SET commission_bps = 2000 WHERE id = {CAPTURE}", "audit_splits"),
    "a nano to the provider": (
        f"UPDATE ledger.entries SET amount = amount + CASE line WHEN 2 THEN 1 ELSE -1 END WHERE transaction_id = {CAPTURE} AND line > 1",
        "audit_splits",
    ),
    "another job's hold": (f"UPDATE ledger.transactions SET job_id = gen_random_uuid() WHERE id = {CAPTURE}", "audit_splits"),
    "a hold of another job": ("UPDATE ledger.transactions SET job_id = gen_random_uuid() WHERE kind = 'hold'", "audit_holds"),
    "a hold that was a gift": ("UPDATE ledger.transactions SET kind = 'correction' WHERE kind = 'hold'", "audit_holds"),
    "a holder who never held": (f"UPDATE ledger.accounts SET holder_id = gen_random_uuid() WHERE id = {HOLD}", "audit_holds"),
    "a release of an open hold": (
        f"UPDATE ledger.transactions SET kind = 'release', commission_bps = NULL WHERE id = {CAPTURE}", "audit_holds",
    ),
    "a guard taken off": (f"UPDATE ledger.accounts SET no_overdraft = false WHERE id = {PENDING}", "audit_chart"),
    "earnings that matured and stayed": (
        "INSERT INTO ledger.maturities (provider_id, through_seq) SELECT owner_id, 1 FROM ledger.accounts WHERE kind = 'provider:*:pending'",
        "audit_maturity",
    ),
    "promotional credit from a top-up": (
        "UPDATE ledger.accounts SET kind = 'requestor:*:promotional' WHERE kind = 'requestor:*:available'", "audit_promotions",
    ),
    "a debt that was collected twice": (
        "INSERT INTO ledger.accounts (kind, owner_id, class, no_overdraft, append_only, credits) "
        "VALUES ('provider:*:debt', gen_random_uuid(), 'asset', false, false, 5)",
        "audit_debts",
    ),
    "money at the payment service that nobody owns": (
        "INSERT INTO ledger.accounts (kind, owner_id, class, no_overdraft, append_only, debits) "
        "VALUES ('stripe_connected:*', gen_random_uuid(), 'asset', false, false, 5)",
        "audit_connected",
    ),
    "a payout that nobody sends": (
        "WITH late AS (UPDATE ledger.transactions SET created_at = now() - interval '6 days' WHERE kind = 'capture' RETURNING id) "
        "UPDATE ledger.accounts SET kind = 'provider:*:in_transit' WHERE kind = 'provider:*:pending' AND EXISTS (SELECT 1 FROM late)",
        "audit_in_transit",
    ),
    "a clawback of something else": (
        "UPDATE ledger.transactions SET kind = 'clawback', subtask_id = gen_random_uuid() WHERE kind = 'hold'", "audit_clawbacks",
    ),
}  # fmt: skip


@pytest.fixture
def forger(owner_url: str) -> Iterator[psycopg.Connection[Any]]:
    """The server's owner with triggers off, on books with one hold and one capture; what it does is rolled back."""
    user, job, provider, subtask = (uuid.uuid4() for _ in range(4))
    with psycopg.connect(owner_url) as connection:
        connection.execute("SELECT ledger.top_up(%s, 1000, 'first')", [user])
        connection.execute("SELECT ledger.place_hold(%s, %s, 600)", [user, job])
        connection.execute("SELECT ledger.capture(%s, %s, %s, ARRAY[100::bigint], ARRAY[1000])", [[subtask], [job], [provider]])
        connection.commit()
        connection.execute("SET LOCAL session_replication_role = replica")
        yield connection
        connection.rollback()


def found(connection: psycopg.Connection[Any]) -> set[str]:
    return {name for name in AUDITS if connection.execute(f"SELECT 1 FROM ledger.{name}").fetchone()}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_an_audit_finds(forger, forgery):
    statement, audit = FORGERIES[forgery]
    assert found(forger) == set()
    assert forger.execute(statement).rowcount > 0
    assert audit in found(forger)


def test_every_audit_is_shown_to_find_something():
    assert {audit for _, audit in FORGERIES.values()} == set(AUDITS)


def test_every_audit_view_is_read(forger):
    rows = forger.execute("SELECT relname FROM pg_class WHERE relnamespace = 'ledger'::regnamespace AND relname LIKE 'audit%'")
    assert {name for (name,) in rows.fetchall()} == set(AUDITS)


def test_the_trial_balance_shows_what_is_missing(forger):
    forger.execute(f"UPDATE ledger.entries SET amount = amount - 7 WHERE account_id = {PENDING}")
    assert forger.execute("SELECT must_be_zero FROM ledger.trial_balance").fetchall() == [(7,)]


def test_the_chart_of_the_database_is_the_chart_of_the_code(forger):
    rows = forger.execute("SELECT kind, class::text, no_overdraft, append_only FROM ledger.chart").fetchall()
    assert set(rows) == {(k.name, k.account_class, k.no_overdraft, k.append_only) for k in CHART}


def test_balances_add_up_to_nothing_over_all_accounts(forger):
    rows = dict(forger.execute("SELECT name, balance_nanos FROM ledger.balances").fetchall())
    debit_normal = {name for name in rows if name.startswith(("platform:stripe", "stripe_connected", "receivable"))}
    assert sum(amount if name in debit_normal else -amount for name, amount in rows.items()) == 0
    assert rows["platform:commission"] == 10
