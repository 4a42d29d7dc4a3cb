"""The rules that the database keeps, whoever writes: each is broken on purpose, as the owner, who may do most."""

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors as pg

NAMED_FLOWS = {
    "top_up", "place_hold", "capture", "release_hold", "add_to_hold", "stripe_fee", "give_promotion", "pay_check", "mature", "claw_back",
    "payout_reserve", "transfer_made", "payout_unreserve", "payout_paid", "payout_returned", "transfer_reversed", "refund_begin",
    "refund_done", "refund_failed", "chargeback", "chargeback_won", "chargeback_lost",
}  # fmt: skip
TABLES = ("chart", "accounts", "transactions", "entries", "maturities")


class Books:
    """A ledger with one top-up of 1000, a hold of 600, a capture of 100; written through the named flows and committed."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.user, self.job, self.provider, self.subtask = (uuid.uuid4() for _ in range(4))
        self.value("SELECT ledger.top_up(%s, 1000, 'first')", self.user)
        self.value("SELECT ledger.place_hold(%s, %s, 600)", self.user, self.job)
        self.capture(self.subtask, 100)
        connection.commit()

    def capture(self, subtask: uuid.UUID, gross: int) -> None:
        given = ([subtask], [self.job], [self.provider], [gross])
        self.value("SELECT ledger.capture(%s, %s, %s, %s::bigint[], ARRAY[1000])", *given)

    def value(self, statement: str, *values: Any) -> Any:
        row = self.connection.execute(statement, values).fetchone()
        return row and row[0]

    def account(self, name: str) -> uuid.UUID:
        return self.value("SELECT id FROM ledger.accounts WHERE name = %s", name)

    def write(self, *lines: tuple[str, str, int], kind: str = "correction", **columns: Any) -> uuid.UUID:
        """A transaction with lines on append-only accounts, written past every function."""
        values = {"kind": kind, "idem_key": uuid.uuid4().hex, "body_hash": b"-", **columns}
        names, places = ", ".join(values), ", ".join(["%s"] * len(values))
        made = self.value(f"INSERT INTO ledger.transactions ({names}) VALUES ({places}) RETURNING id", *values.values())
        for number, (account, side, amount) in enumerate(lines, start=1):
            self.line(made, number, account, side, amount)
        return made

    def line(self, transaction: uuid.UUID, number: int, account: str, side: str, amount: int) -> None:
        self.connection.execute(
            "INSERT INTO ledger.entries VALUES (%s, %s, %s, %s, %s, NULL, NULL)",
            [transaction, number, self.account(account), side, amount],
        )


@pytest.fixture
def books(owner_url: str) -> Iterator[Books]:
    with psycopg.connect(owner_url) as connection:
        yield Books(connection)
        connection.rollback()


def test_a_balanced_transaction_of_two_lines_may_be_committed(books):
    books.write(("platform:goodwill", "D", 5), ("platform:commission", "C", 5))
    books.connection.commit()


@pytest.mark.parametrize(
    "lines",
    [
        [("platform:goodwill", "D", 5), ("platform:commission", "C", 4)],
        [("platform:goodwill", "D", 5), ("platform:commission", "D", 5)],
        [("platform:goodwill", "D", 5)],
        [],
    ],
    ids=["off by one", "two debits", "one line", "no line"],
)
def test_an_unbalanced_transaction_is_refused_at_commit(books, lines):
    books.write(*lines)
    with pytest.raises(pg.CheckViolation):
        books.connection.commit()


def test_currencies_balance_each_for_itself(books):
    books.connection.execute("INSERT INTO ledger.chart VALUES ('platform:euro', 'expense', false, true, 'a test')")
    books.connection.execute("INSERT INTO ledger.accounts (kind, currency) VALUES ('platform:euro', 'EUR')")
    books.write(("platform:euro", "D", 5), ("platform:commission", "C", 5))
    with pytest.raises(pg.CheckViolation, match="unbalanced"):
        books.connection.commit()


def test_an_amount_is_above_zero(books):
    for amount in (0, -5):
        with pytest.raises(pg.CheckViolation), books.connection.transaction():
            books.write(("platform:goodwill", "D", amount), ("platform:commission", "C", amount))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger.transactions SET metadata = '{\"a\": 1}'", "DELETE FROM ledger.transactions", "TRUNCATE ledger.transactions CASCADE",
        "UPDATE ledger.entries SET amount = amount + 1", "DELETE FROM ledger.entries", "TRUNCATE ledger.entries",
        "DELETE FROM ledger.accounts", "TRUNCATE ledger.accounts CASCADE",
        "UPDATE ledger.chart SET purpose = ''", "DELETE FROM ledger.chart", "TRUNCATE ledger.chart CASCADE",
    ],
)  # fmt: skip
def test_nothing_written_is_ever_changed(books, statement):
    with pytest.raises(pg.RestrictViolation):
        books.connection.execute(statement)


def test_no_line_joins_a_committed_transaction(books):
    written = books.write(("platform:goodwill", "D", 5), ("platform:commission", "C", 5))
    books.line(written, 3, "platform:goodwill", "D", 1)  # while it is not committed, it may grow
    books.line(written, 4, "platform:commission", "C", 1)
    books.connection.commit()
    with pytest.raises(pg.RestrictViolation):
        books.line(written, 5, "platform:goodwill", "D", 1)


def test_no_transaction_pretends_to_be_of_another_database_transaction(books):
    with pytest.raises(pg.RestrictViolation):
        books.write(created_xid="12345")


def test_a_line_is_numbered_just_when_its_account_is(books):
    written = books.write(("platform:goodwill", "D", 5))
    with pytest.raises(pg.RestrictViolation):
        books.line(written, 2, f"requestor:{books.user}:available", "C", 5)


def test_a_liability_cannot_be_overdrawn(books):
    with pytest.raises(pg.CheckViolation, match="no_overdraft"):
        books.connection.execute("UPDATE ledger.accounts SET debits = credits + 1 WHERE name = %s", [f"job:{books.job}:hold"])


def test_the_only_writer_cannot_overdraw_either(books):
    legs = f"ARRAY[ROW('job:*:hold', '{books.job}', 'D', 501)::ledger.leg, ROW('platform:stripe', NULL, 'C', 501)::ledger.leg]"
    with pytest.raises(pg.CheckViolation, match="no_overdraft"):
        books.connection.execute(f"SELECT ledger.post('correction', 'too much', {legs})")


@pytest.mark.parametrize(
    ("kind", "columns", "index"),
    [
        ("capture", {"subtask_id": "subtask", "job_id": "job", "commission_bps": 1000}, "one_capture_per_subtask"),
        ("clawback", {"subtask_id": "subtask", "job_id": "job"}, "one_clawback_per_subtask"),
        ("hold", {"job_id": "job"}, "one_hold_per_job"),
        ("release", {"job_id": "job"}, "one_release_per_job"),
    ],
)
def test_a_fact_that_happens_once_is_written_once(books, kind, columns, index):
    columns = {name: getattr(books, value) if isinstance(value, str) else value for name, value in columns.items()}
    with pytest.raises(pg.UniqueViolation, match=index):
        for _ in range(2):
            books.write(("platform:goodwill", "D", 5), ("platform:commission", "C", 5), kind=kind, **columns)


def test_a_transaction_is_reversed_once(books):
    first = books.write(("platform:goodwill", "D", 5), ("platform:commission", "C", 5))
    with pytest.raises(pg.UniqueViolation, match="one_reversal"):
        for _ in range(2):
            books.write(("platform:goodwill", "C", 5), ("platform:commission", "D", 5), reverses=first)


@pytest.mark.parametrize(
    "columns",
    [{"kind": "capture", "commission_bps": 1000}, {"kind": "hold"}, {"kind": "gift"}, {"kind": "topup", "commission_bps": 5}],
)
def test_a_transaction_says_what_its_kind_must_say(books, columns):
    with pytest.raises(pg.CheckViolation):
        books.write(**columns)


def test_a_capture_without_its_rate_is_refused(books):
    with pytest.raises(pg.CheckViolation, match="captures_keep_their_rate"):
        books.write(kind="capture", subtask_id=uuid.uuid4(), job_id=books.job)


@pytest.mark.parametrize(
    "change", ["debits = debits - 1", "credits = credits - 1", "seq = seq - 1", "no_overdraft = false", "holder_id = owner_id",
               "opened_at = now() - interval '1 day'", "currency = 'EUR'", "append_only = true", "id = owner_id"]
)  # fmt: skip
def test_counters_only_grow_and_an_account_stays_what_it_is(books, change):
    with pytest.raises(pg.IntegrityError):
        books.connection.execute(f"UPDATE ledger.accounts SET {change} WHERE name = %s", [f"job:{books.job}:hold"])


def test_a_closed_account_is_frozen(books):
    name = [f"job:{books.job}:hold"]
    books.value("SELECT ledger.release_hold(%s, %s)", books.user, books.job)
    for change in ("debits = debits + 1, credits = credits + 1", "closed_at = NULL"):
        with pytest.raises(pg.RestrictViolation, match="closed"), books.connection.transaction():
            books.connection.execute(f"UPDATE ledger.accounts SET {change} WHERE name = %s", name)


def test_an_account_is_not_closed_with_money_in_it(books):
    with pytest.raises(pg.CheckViolation, match="closed_accounts_are_settled"):
        books.connection.execute("UPDATE ledger.accounts SET closed_at = now() WHERE name = %s", [f"job:{books.job}:hold"])


def test_an_account_is_what_the_chart_says_whatever_the_writer_says(books):
    books.connection.execute(
        "INSERT INTO ledger.accounts (kind, owner_id, class, no_overdraft, append_only) "
        "VALUES ('provider:*:available', %s, 'asset', false, true)",
        [books.provider],
    )
    found = books.connection.execute(
        "SELECT class::text, no_overdraft, append_only FROM ledger.accounts WHERE name = %s",
        [f"provider:{books.provider}:available"],
    ).fetchone()
    assert found == ("liability", True, False)


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        ("kind, owner_id", "'piggy:*:bank', gen_random_uuid()"),
        ("kind", "'provider:*:available'"),
        ("kind, owner_id", "'platform:commission', gen_random_uuid()"),
        ("kind, owner_id", "'job:*:hold', gen_random_uuid()"),
        ("kind, owner_id, credits", "'provider:*:available', gen_random_uuid(), 5"),
    ],
    ids=["unknown kind", "no owner", "an owner too many", "a hold of nobody", "not empty"],
)
def test_an_account_that_makes_no_sense_is_not_opened(books, columns, values):
    with pytest.raises(pg.IntegrityError):
        books.connection.execute(f"INSERT INTO ledger.accounts ({columns}) VALUES ({values})")


def test_the_application_may_execute_the_named_flows_and_no_other_function(app_url):
    with psycopg.connect(app_url) as connection:
        rows = connection.execute(
            "SELECT p.proname, has_function_privilege(p.oid, 'EXECUTE') FROM pg_proc p "
            "JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'ledger'"
        ).fetchall()
    assert {name for name, may in rows if may} == NAMED_FLOWS
    assert {name for name, may in rows if not may} >= {"post", "judge_captures", "fund_captures", "correct"}


def test_the_application_cannot_post_what_it_likes(books, app_url):
    legs = f"ARRAY[ROW('platform:stripe', NULL, 'D', 5)::ledger.leg, ROW('requestor:*:available', '{books.user}', 'C', 5)::ledger.leg]"
    with psycopg.connect(app_url) as connection, pytest.raises(pg.InsufficientPrivilege):
        connection.execute(f"SELECT ledger.post('topup', 'mine', {legs})")


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("statement", ["INSERT INTO ledger.{} SELECT * FROM ledger.{}", "DELETE FROM ledger.{}", "TRUNCATE ledger.{} CASCADE",
                                       "ALTER TABLE ledger.{} DISABLE TRIGGER ALL", "DROP TABLE ledger.{} CASCADE"])  # fmt: skip
def test_the_application_writes_no_table_of_the_ledger(app_url, table, statement):
    with psycopg.connect(app_url) as connection, pytest.raises((pg.InsufficientPrivilege, pg.GeneratedAlways)):
        connection.execute(statement.replace("{}", table))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger.accounts SET credits = credits + 1",
        "UPDATE ledger.transactions SET kind = 'topup'",
        "UPDATE ledger.entries SET amount = 1",
        "UPDATE ledger.chart SET purpose = ''",
        "CREATE FUNCTION ledger.mine() RETURNS int LANGUAGE sql RETURN 1",
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql RETURN 1",
        "CREATE TABLE public.mine (id int)",
        "CREATE SCHEMA mine",
        "SET session_replication_role = replica",
    ],
)
def test_the_application_cannot_get_around_the_flows(app_url, statement):
    with psycopg.connect(app_url) as connection, pytest.raises(pg.InsufficientPrivilege):
        connection.execute(statement)


def test_the_flows_do_not_listen_to_the_callers_search_path(books, app_url):
    with psycopg.connect(app_url) as connection:
        connection.execute("CREATE TEMP TABLE accounts (name text)")
        connection.execute("CREATE TEMP TABLE transactions (idem_key text)")
        connection.execute("SET search_path = pg_temp, public")
        connection.execute("SELECT ledger.top_up(%s, 5, 'second')", [books.user])
    assert books.value("SELECT balance_nanos FROM ledger.balances WHERE name = %s", f"requestor:{books.user}:available") == 405


def test_the_application_reads_every_table_and_view(app_url):
    with psycopg.connect(app_url) as connection:
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'ledger'::regnamespace AND relkind IN ('r', 'v')"
        )
        for (name,) in names.fetchall():
            connection.execute(f"SELECT * FROM ledger.{name}")
