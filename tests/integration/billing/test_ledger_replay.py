"""Random business on the real ledger and on a model, at each step alike."""

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fixtures.ledger_replay import Replay
from tests.fixtures.replays import JOB_STATES, replay_jobs


def test_every_state_that_matters_is_reached_and_handled_as_the_model_says(app_url):
    reached = replay_jobs(app_url)
    assert not {state for state in JOB_STATES if reached[state] < 2}, reached


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(random=st.randoms(use_true_random=False), steps=st.integers(1, 25))
def test_the_ledger_does_what_the_model_does(app_url, random, steps):
    with psycopg.connect(app_url) as connection:
        Replay(connection, random).run(steps)
