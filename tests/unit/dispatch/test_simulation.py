"""The dispatcher in a world where everything goes wrong: first safety under faults, then liveness after healing.

The number in a failing test's name is the seed: the run can be repeated exactly.
"""

from collections import Counter

import pytest

from tests.fixtures.simulation import Simulation

FAULTS_S = 60.0
HEALING_S = 120.0
SEEDS = 20
REACHED: Counter[str] = Counter()


def play(seed: int) -> Simulation:
    world = Simulation(seed)
    world.run(until=FAULTS_S)
    world.heal()
    world.run(until=FAULTS_S + HEALING_S, stop=world.is_done)
    return world


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_is_lost_or_paid_twice_whatever_goes_wrong_and_all_is_done_in_the_end(seed):
    world = play(seed)
    assert world.is_done(), f"seed {seed}: {Counter(row.status for row in world.database.rows.values())} after healing"
    world.run(until=world.now + 5)
    assert world.leader is not None
    state = world.leader.state
    assert (state.orders, state.unsettled, state.claiming) == ({}, {}, {})


def test_the_same_seed_plays_the_same_story():
    first, second = play(7), play(7)
    assert first.reached == second.reached
    assert first.now == second.now


def test_the_faults_really_happen():
    reached: Counter[str] = sum((play(seed).reached for seed in range(12)), Counter())
    wanted = {
        "machine died", "machine hung", "machine slow", "machine lied", "dispatcher killed", "two leaders", "lock away for a moment", "died before commit",
        "died after commit", "no commit", "commit unheard of", "duplicate receipt", "late receipt", "receipt at the wrong leader",
        "stale", "expired", "lost", "failed", "cancelled",
    }  # fmt: skip
    assert wanted <= {what for what, times in reached.items() if times > 0}, wanted - reached.keys()


@pytest.mark.slow
def test_many_more_seeds():
    for seed in range(1000, 1300):
        assert play(seed).is_done(), f"seed {seed}"
