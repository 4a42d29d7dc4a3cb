"""Random money around jobs on the real ledger and on a model: every posting of the table, at each step alike."""

import re

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fixtures.money_replay import MoneyReplay
from tests.fixtures.replays import MONEY_STATES, replay_money

BY_OPERATORS_ONLY = {"correction", "writeoff"}
"""Kinds that the application's role cannot write."""


def test_every_state_of_money_is_reached_and_every_posting_is_written_as_the_model_says(app_url):
    # When seeded stories are told to the ledger and to the model
    reached = replay_money(app_url)
    # Then they agreed at each step, every state was reached, and every kind of posting was written
    assert not {state for state in MONEY_STATES if reached[state] < 2}, reached
    with psycopg.connect(app_url) as connection:
        (rule,) = connection.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'transactions_kind_check'"
        ).fetchone()
        written = {kind for (kind,) in connection.execute("SELECT DISTINCT kind FROM ledger.transactions")}
    assert written == set(re.findall(r"'(\w+)'", rule)) - BY_OPERATORS_ONLY


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(random=st.randoms(use_true_random=False), steps=st.integers(1, 40))
def test_money_does_what_the_model_does(app_url, random, steps):
    with psycopg.connect(app_url) as connection:
        MoneyReplay(connection, random).run(steps)
