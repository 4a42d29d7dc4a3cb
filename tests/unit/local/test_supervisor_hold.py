import threading

import pytest

from fabric.local.parts import Part
from fabric.local.supervisor import Supervisor


class Lamp(Part):
    """Burns until it is blown out; lighting it may take until it is allowed."""

    name = "lamp"

    def __init__(self) -> None:
        self.burns = True
        self.lit = threading.Event()
        self.may_light = threading.Event()
        self.may_light.set()
        self.is_lighting = threading.Event()

    def start(self) -> None:
        self.is_lighting.set()
        self.may_light.wait(30)
        self.burns = True
        self.lit.set()

    def failure(self) -> str | None:
        return None if self.burns else "went out"

    def stop(self) -> None:
        self.burns = False


@pytest.fixture
def watched(tmp_path):
    lamp, told = Lamp(), []
    supervisor = Supervisor(told.append, record=lambda: None, logs=tmp_path)
    supervisor.watch([lamp])
    yield supervisor, lamp, told
    supervisor.stop()
    supervisor.join()


def test_a_part_that_fails_is_started_again(watched):
    _, lamp, told = watched
    lamp.burns = False
    assert lamp.lit.wait(30)
    assert any("lamp went out" in line for line in told)


def test_a_part_that_is_held_is_left_to_whoever_holds_it_and_watched_again_afterwards(watched):
    supervisor, lamp, told = watched
    other = Lamp()
    other.name = "other"
    supervisor.watch([other])
    with supervisor.hold(lamp):
        lamp.burns = other.burns = False
        assert other.lit.wait(30)  # so the watchers had their turns
        assert not lamp.lit.is_set()
        assert not any("lamp" in line for line in told)
    assert lamp.lit.wait(30)


def test_holding_waits_for_a_restart_that_is_under_way(watched):
    supervisor, lamp, _ = watched
    lamp.may_light.clear()
    lamp.burns = False
    assert lamp.is_lighting.wait(30)
    seen = []

    def hold() -> None:
        with supervisor.hold(lamp):
            seen.append(lamp.burns)

    holding = threading.Thread(target=hold)
    holding.start()
    lamp.may_light.set()
    holding.join(30)
    assert seen == [True]
