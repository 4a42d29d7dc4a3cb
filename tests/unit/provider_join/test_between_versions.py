"""An agent and a fabric of different ages understand each other as far as both can."""

import json
from collections.abc import Iterator

import pytest

from provider_join.api import ControlPlane
from provider_join.config import Credential, Home, Stop, read_options
from provider_join.from_afar import FromAfar
from provider_join.limits import Limits
from provider_join.restraint import Restraint
from provider_join.stay import Member, Stay
from tests.unit.provider_join.test_control_plane import Answers

SLOT = {"slot": 0, "device_key": "cpu"}
MACHINE = {"agent_version": "0.1.0", "capabilities": {"cpu": "AMD EPYC", "slots": [SLOT]}}
REFUSED = (422, json.dumps({"detail": "schedule: Extra inputs are not permitted"}).encode())


def answered(**more: object) -> tuple[int, bytes]:
    return 200, json.dumps({"desired": "run", "orders_outstanding": 0, **more}).encode()


@pytest.fixture
def fabric() -> Iterator[Answers]:
    server = Answers()
    yield server
    server.shutdown()
    server.server_close()


def an_agent(fabric: Answers, home: Home, session: dict) -> Stay:
    restraint = Restraint(home, Limits())
    member = Member(Credential("prv_1", "fpc_secret"), MACHINE)
    options = read_options(["--url", fabric.url, "--home", str(home.path)])
    session = {"heartbeat_s": 5.0, "cluster": "c", **session}
    return Stay(ControlPlane(fabric.url), member, session, options, home, restraint, FromAfar(home, restraint), lambda _: None)


def test_a_wish_that_waited_counts_before_the_first_heartbeat_and_a_later_one_with_its_answer(fabric, tmp_path):
    agent = an_agent(fabric, Home(tmp_path), {"schedule": {"revision": 1, "wanted": {"idle_only": True}}})
    fabric.answer = answered(schedule={"revision": 2, "wanted": {"idle_only": False, "hours": "0-24"}})
    agent._beat()
    agent._beat()
    told = [body for _, _, body in fabric.asked]
    assert [(body["schedule"]["revision"], body["schedule"]["hours"]) for body in told] == [(1, None), (2, "0-24")]
    assert [body.get("holding", {}).get("by") for body in told] == ["idle", None]


def test_a_fabric_that_knows_of_no_schedules_is_told_of_none(fabric, tmp_path):
    agent = an_agent(fabric, Home(tmp_path), {})
    fabric.answer = answered()
    agent._beat()
    # Until it was upgraded, which its answers show
    fabric.answer = answered(schedule=None)
    agent._beat()
    agent._beat()
    assert ["schedule" in body for _, _, body in fabric.asked] == [False, False, True]


def test_an_older_fabric_that_takes_over_costs_one_heartbeat(fabric, tmp_path):
    agent = an_agent(fabric, Home(tmp_path), {"schedule": None})
    fabric.answer = REFUSED
    agent._beat()
    fabric.answer = answered()
    agent._beat()
    assert ["schedule" in body for _, _, body in fabric.asked] == [True, False]
    # What is refused for another reason still ends it in words
    fabric.answer = REFUSED
    with pytest.raises(Stop, match="not permitted"):
        agent._beat()
