"""Random business on the real ledger and on a model; and proof, by one-line mutants of the SQL, that this test can fail."""

from collections import Counter
from random import Random

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fixtures.ledger_replay import Replay

STATES = [
    "captured", "duplicate", "a duplicate", "a duplicate of a neighbour", "refused", "an altered repetition", "a capture of a whole hold",
    "a capture beyond what its neighbours left", "a commission of nothing", "a commission of one", "a commission that is the whole",
    "a hold beyond the wallet", "a hold of the whole wallet", "the same hold twice", "a release of nothing", "the same release twice",
    "the same top-up twice", "another top-up under a used key",
]  # fmt: skip

MUTANTS = [
    ("judge_captures", "s.gross % 10000 * s.bps / 10000", "s.gross % 10000 * s.bps / 10000 + 1"),
    ("judge_captures", "s.gross % 10000 * s.bps / 10000", "0"),
    ("judge_captures", "hold.balance < g.gross", "hold.balance <= g.gross"),
    ("judge_captures", "hold.closed_at IS NOT NULL", "hold.closed_at IS NULL"),
    ("judge_captures", "coalesce(g.gross, 0) <= 0", "false"),
    ("judge_captures", "CAST(s.bps AS text))", "'')"),
    ("judge_captures", "CAST(s.provider_id AS text),", "'',"),
    ("fund_captures", "_line.gross > _left", "_line.gross >= _left"),
    ("fund_captures", "_left := _left - _line.gross", "_left := _left"),
    ("fund_captures", "_taken := _taken || _line.subtask_id", "_taken := _taken"),
    ("capture", "l.hold_seq + row_number()", "l.hold_seq + 1 + row_number()"),
    ("capture", "l.hold_balance - sum(l.gross)", "l.hold_balance + sum(l.gross)"),
    ("capture", "seq = a.seq + _line.entries", "seq = a.seq + 1"),
    ("capture", "debits = a.debits + _line.debit", "debits = a.debits"),
    ("capture", "l.commission > 0", "l.commission > 1"),
    ("capture", "l.objection IS NULL AND l.gross > l.commission", "l.objection IS NULL"),
    ("capture", "WHEN t.body_hash = l.body_hash THEN 'duplicate'", "WHEN t.body_hash IS NOT NULL THEN 'duplicate'"),
    ("place_hold", "available_nanos < _amount", "available_nanos <= _amount"),
    ("release_hold", "UPDATE ledger.accounts SET closed_at = now() WHERE id = _hold.id;", ""),
    ("release_hold", "_hold.holder_id IS DISTINCT FROM _user", "false"),
    ("post", "_old.body_hash <> _hash", "false"),
    ("post", "seq = a.seq + 1", "seq = a.seq + 2"),
]


def replays(app_url: str, seeds: range, steps: int = 40) -> Counter[str]:
    reached: Counter[str] = Counter()
    with psycopg.connect(app_url) as connection:
        for seed in seeds:
            replay = Replay(connection, Random(seed))
            replay.run(steps)
            reached += replay.reached
    return reached


def test_every_state_that_matters_is_reached_and_handled_as_the_model_says(app_url):
    reached = replays(app_url, range(12))
    assert not {state for state in STATES if reached[state] < 2}, reached


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(random=st.randoms(use_true_random=False), steps=st.integers(1, 25))
def test_the_ledger_does_what_the_model_does(app_url, random, steps):
    with psycopg.connect(app_url) as connection:
        Replay(connection, random).run(steps)


@pytest.mark.parametrize(("function", "line", "mutant"), MUTANTS, ids=[f"{m[0]}: {m[2] or 'left out'}" for m in MUTANTS])
def test_a_ledger_with_one_wrong_line_is_found_out(owner_url, app_url, function, line, mutant):
    with psycopg.connect(owner_url) as owner:
        (definition,) = owner.execute(
            "SELECT pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
            "WHERE n.nspname = 'ledger' AND p.proname = %s",
            [function],
        ).fetchone()
        assert line in definition, "the mutant must hit a line that is there"
        owner.execute(definition.replace(line, mutant))
    with pytest.raises((AssertionError, psycopg.Error)):
        replays(app_url, range(12))
