"""A batch reads in proportion to itself, however long the history: counted in rows, so no clock is needed."""

import uuid

import psycopg

BATCH = 300
ROWS_READ_PER_CAPTURE_MAX = 20
PROVIDER = uuid.uuid4()


def capture(connection, job, count):
    subtasks = [uuid.uuid4() for _ in range(count)]
    given = [subtasks, [job] * count, [PROVIDER] * count, [7] * count, [1000] * count]
    rows = connection.execute("SELECT * FROM ledger.capture(%s, %s, %s, %s::bigint[], %s::int[])", given).fetchall()
    assert {row[2] for row in rows} == {"captured"}


def rows_read(connection):
    return connection.execute(
        "SELECT sum(seq_scan), sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables "
        "WHERE schemaname = 'ledger' AND relname IN ('accounts', 'transactions', 'entries')"
    ).fetchone()


def test_a_connection_that_planned_on_an_empty_ledger_never_reads_all_of_history(app_url):
    user, job = uuid.uuid4(), uuid.uuid4()
    with psycopg.connect(app_url) as connection:
        # Given a connection that made its plans with single captures, when there was nothing
        connection.execute("SELECT ledger.top_up(%s, 1000000, 'key')", [user])
        connection.execute("SELECT ledger.place_hold(%s, %s, 1000000)", [user, job])
        connection.commit()
        for count in [1] * 20 + [BATCH] * 8:
            capture(connection, job, count)
            connection.commit()
        # When one more batch is captured and checked
        before = rows_read(connection)
        capture(connection, job, BATCH)
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        scans, rows = (after - start for after, start in zip(rows_read(connection), before, strict=True))
    # Then no table was read from end to end, and few rows were read for each capture
    assert scans == 0
    assert 0 < rows <= BATCH * ROWS_READ_PER_CAPTURE_MAX
