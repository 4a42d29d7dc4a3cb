"""Looking at the very machine that runs the test: what it tells differs, what may be said of it does not."""

import os
import subprocess
import sys
import time

import pytest

from provider_join.config import Home, Stop
from provider_join.limits import Limits, kept_limits
from provider_join.restraint import Restraint
from provider_join.sensors import Sensors


def test_looking_never_fails_and_gives_amounts_or_nothing():
    facts = Sensors(os.getpid()).look()
    for value in (facts.temperature_c, facts.power_w, facts.input_age_s):
        assert value is None or value >= 0
    assert facts.foreign_cpu is None  # of the time before nobody knows
    blind = Sensors(os.getpid()).look(use=False)
    assert (blind.input_age_s, blind.foreign_cpu) == (None, None)


@pytest.mark.skipif(sys.platform != "linux", reason="counts this process's time by the kernel's clock")
def test_what_the_fabric_itself_computes_is_not_foreign():
    # Given one who takes this process for the fabric's, and one who takes another for it, which sleeps
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as sleeper:
        ours, theirs = Sensors(os.getpid()), Sensors(sleeper.pid)
        ours.look()
        theirs.look()
        # When this process computes for a while
        until = time.process_time() + 0.3
        while time.process_time() < until:
            pass
        # Then the second one sees more of somebody else's work
        mine, foreign = ours.look().foreign_cpu, theirs.look().foreign_cpu
        sleeper.kill()
    assert mine is not None
    assert foreign is not None
    assert 0 <= mine < foreign <= 1


def test_a_cap_on_what_the_machine_does_not_tell_is_refused_and_not_kept(tmp_path):
    home, seen = Home(tmp_path), Sensors().look(use=False)
    for limits, value, option in (
        (Limits(max_power_w=10_000), seen.power_w, "--max-power-w"),
        (Limits(max_temperature_c=500), seen.temperature_c, "--max-temperature-c"),
    ):
        if value is None:
            with pytest.raises(Stop, match=option):
                Restraint(home, limits)
        else:
            assert Restraint(home, limits).holding() is None
    assert kept_limits(home) == Limits()


def test_a_machine_that_was_not_looked_at_yet_counts_as_used(tmp_path):
    restraint = Restraint(Home(tmp_path), Limits(idle_only=True))
    holding = restraint.holding()
    assert holding is not None
    assert holding.by == "idle"
    stop = restraint.start()
    stop()
