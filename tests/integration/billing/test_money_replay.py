"""Random money around jobs on the real ledger and on a model; and proof, by one-line mutants of the SQL, that this test can fail."""

from collections import Counter
from random import Random

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fixtures.money_replay import MoneyReplay

SEEDS = range(20)
STEPS = 110
STATES = [
    "a hold beyond wallet and gifts", "a hold of gifts only", "a hold of gifts and money", "more for a hold",
    "more than there is for a hold", "a release of gifts", "a release of money beside used gifts", "a maturation",
    "a maturation that leaves some", "a maturation of what was clawed back", "a debt collected at maturation", "a clawback in time",
    "a clawback after maturation", "a clawback of gifts", "a clawback of gifts and money", "the same clawback twice",
    "a payout larger than available", "a payout that a debt prevents", "a debt collected at payout", "a payout unreserved",
    "an unreserve after the transfer", "a transfer of what was unreserved", "paid", "paid twice, refused", "paid after it was returned",
    "returned", "reversed", "a debt collected at a reversal", "a reversal of what the bank has", "a refund of more than there is",
    "a refund that failed", "a refund that failed after it was sent", "a refund done after it failed, refused",
    "a dispute within the wallet", "a dispute beyond the wallet", "won", "won, but the fee is gone", "won after it was lost, refused",
    "lost, and nobody pays", "lost, and paid by what came meanwhile", "the same loss twice", "the same fact twice",
]  # fmt: skip

MUTANTS = [
    ("place_hold", "promotional_nanos := least(_gift, _amount)", "promotional_nanos := 0"),
    ("place_hold", "_hold.holder_id <> _user OR _hold.amount <> _amount", "false"),
    ("add_to_hold", "_hold.holder_id IS DISTINCT FROM _user", "false"),
    ("add_to_hold", "available_nanos < _amount", "available_nanos <= _amount"),
    ("release_hold", "_hold.credits - ledger.promotional_part(_job)", "_hold.credits"),
    ("mature", "EXIT WHEN _entry.created_at >= _before;", ""),
    ("mature", "e.seq > _from", "e.seq > 0"),
    ("mature", "_entry.side = 'C' AND NOT EXISTS", "NOT EXISTS"),
    ("mature", "c.kind = 'clawback'", "c.kind = 'release'"),
    ("mature", "least(matured_nanos, ledger.balance_of('provider:*:debt', _owner))", "0"),
    ("collect_debt", ":= least(", ":= greatest("),
    ("claw_back", "_earned.seq <= (SELECT", "_earned.seq < (SELECT"),
    ("claw_back", "greatest(0, least(_gift, returned_nanos))", "greatest(0, _gift)"),
    ("claw_back", "t.job_id = _hold.owner_id AND t.kind = 'clawback'", "false"),
    ("claw_back", "_earned.amount - owed_nanos", "_earned.amount"),
    ("payout_reserve", "greatest(0, available_nanos - ledger.balance_of('provider:*:debt', _owner))", "available_nanos"),
    ("payout_reserve", "available_nanos < _amount", "available_nanos <= _amount"),
    ("payout_reserve", "PERFORM ledger.check_cents(_amount);", ""),
    ("transfer_made", "IS NOT NULL THEN", "IS NULL AND false THEN"),
    ("payout_unreserve", "ledger.count_of_payout(_payout, 'transfer') > 0", "false"),
    ("payout_paid", "ledger.count_of_payout(_payout, 'payout_paid') + ", "0 + "),
    ("payout_paid", "+ ledger.count_of_payout(_payout, 'payout_returned')", ""),
    ("transfer_reversed", "ledger.count_of_payout(_payout, 'payout_paid') > ledger", "0 > ledger"),
    ("transfer_reversed", "IF _written.created THEN", "IF NOT _written.created THEN"),
    ("refund_begin", "available_nanos < _amount", "available_nanos <= _amount"),
    ("refund_done", "ledger.transaction_of(_key) IS NULL AND EXISTS", "false AND EXISTS"),
    ("refund_failed", "WHEN _done IS NULL THEN", "WHEN true THEN"),
    ("chargeback", "least(_amount, ledger.balance_of", "greatest(_amount, ledger.balance_of"),
    ("chargeback", "'fee', _fee) THEN", "'fee', _fee) AND false THEN"),
    ("chargeback_won", "_fee_back, -1) NOT BETWEEN 0 AND _d.fee", "_fee_back, -1) < 0"),
    ("chargeback_won", "':lost') IS NOT NULL", "':lost') IS NULL AND false"),
    ("chargeback_lost", "lost_nanos := _d.owed - _taken", "lost_nanos := _d.owed"),
]  # fmt: skip


def replays(app_url: str, seeds: range, steps: int = STEPS) -> Counter[str]:
    reached: Counter[str] = Counter()
    with psycopg.connect(app_url) as connection:
        for seed in seeds:
            replay = MoneyReplay(connection, Random(seed))
            replay.run(steps)
            reached += replay.reached
    return reached


def test_every_state_of_money_is_reached_and_handled_as_the_model_says(app_url):
    reached = replays(app_url, SEEDS)
    assert not {state for state in STATES if reached[state] < 2}, reached


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(random=st.randoms(use_true_random=False), steps=st.integers(1, 40))
def test_money_does_what_the_model_does(app_url, random, steps):
    with psycopg.connect(app_url) as connection:
        MoneyReplay(connection, random).run(steps)


@pytest.mark.parametrize(("function", "line", "mutant"), MUTANTS, ids=[f"{m[0]}: {m[2] or m[1]}" for m in MUTANTS])
def test_money_with_one_wrong_line_is_found_out(owner_url, app_url, function, line, mutant):
    with psycopg.connect(owner_url) as owner:
        (definition,) = owner.execute(
            "SELECT pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
            "WHERE n.nspname = 'ledger' AND p.proname = %s",
            [function],
        ).fetchone()
        assert line in definition, "the mutant must hit a line that is there"
        owner.execute(definition.replace(line, mutant))
    with pytest.raises((AssertionError, psycopg.Error)):
        replays(app_url, SEEDS)
