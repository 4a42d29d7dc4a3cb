"""An owner sets a machine's schedule over the API, and the machine, which decides, takes it with a heartbeat."""

from collections.abc import AsyncIterator

import httpx
import pytest

from fabric import wiring
from fabric.api.app import create_app
from fabric.api.routes import auth, providers
from tests.fixtures.api import Person, client_of, register, started
from tests.integration.api.test_providers_api import PATH, an_application, beat, enrolled, machine_headers

ALWAYS = {
    "hours": None, "idle_only": False, "idle_minutes": 5.0, "time_zone": "Europe/Berlin", "utc_offset_minutes": 60, "is_open": True,
    "changes_at": None,
}  # fmt: skip
NIGHTS = {**ALWAYS, "hours": "22-7", "is_open": False, "changes_at": "2026-11-21T21:00:00Z"}
CAPS = {"max_power_w": 150.0, "max_temperature_c": None, "max_memory_gib": 8.0, "max_bandwidth_mbit": None, "max_disk_gib": None}


@pytest.fixture
async def http(machine_settings) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(lambda: wiring.build(machine_settings), [auth.router, providers.router])
    async with started(app), client_of(app) as client:
        yield client


@pytest.fixture
async def owner(http) -> Person:
    return await register(http)


async def set_schedule(http, owner, machine, **schedule) -> dict:
    path = f"{PATH}/{machine['provider_id']}"
    answer = await http.patch(path, json={"schedule": schedule}, headers=owner.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def told(http, machine, counts=ALWAYS, revision=0, refused=None, **report) -> dict:
    """What the machine hears when it says what counts on it."""
    schedule = {**counts, "revision": revision, "refused": refused}
    answer = await beat(http, machine, schedule=schedule, caps=CAPS, **report)
    assert answer.status_code == 200, answer.text
    return answer.json()["schedule"]


async def shown(http, owner, machine) -> dict:
    return (await http.get(f"{PATH}/{machine['provider_id']}", headers=owner.headers)).json()


async def test_a_wish_waits_until_the_machine_took_it_and_is_shown_all_the_while(http, owner):
    # Given a machine that says when it lends, and what it keeps to
    machine = await enrolled(http, owner)
    assert await told(http, machine) is None
    before = await shown(http, owner, machine)
    assert (before["schedule"], before["schedule_wanted"], before["caps"]) == (ALWAYS, None, CAPS)
    # When its owner wants nights, and then quiet as well, before it is heard again
    await set_schedule(http, owner, machine, hours=" 22-7")
    changed = await set_schedule(http, owner, machine, idle_only=True)
    # Then both wait, while what counts is what the machine said
    assert changed["schedule"] == ALWAYS
    assert changed["schedule_wanted"] == {"hours": "22-7", "idle_only": True, "idle_minutes": 5.0, "refused": None}
    assert await told(http, machine) == {"revision": 2, "wanted": {"hours": "22-7", "idle_only": True}}
    # And when it says that it took them, nothing waits any more, and nothing is handed on again
    assert await told(http, machine, {**NIGHTS, "idle_only": True}, 2) is None
    after = await shown(http, owner, machine)
    assert (after["schedule"]["hours"], after["schedule_wanted"]) == ("22-7", None)
    # Not even to a machine that has lost its memory
    assert await told(http, machine) is None
    # And always is a wish as well
    await set_schedule(http, owner, machine, hours=None)
    assert await told(http, machine, NIGHTS, 2) == {"revision": 3, "wanted": {"hours": None}}


async def test_a_machine_that_was_away_hears_of_a_wish_with_its_session(http, owner):
    machine = await enrolled(http, owner)
    assert machine["session"]["schedule"] is None
    await told(http, machine, revision=9)  # a backup of the fabric was put back, so the machine knows more
    await set_schedule(http, owner, machine, hours="mo 1-2")
    path = f"{PATH}/{machine['provider_id']}/session"
    session = (await http.post(path, json=an_application(), headers=machine_headers(machine))).json()
    assert session["schedule"] == {"revision": 10, "wanted": {"hours": "mo 1-2"}}


async def test_a_machine_that_cannot_keep_a_wish_says_why_and_hears_no_more_of_it(http, owner):
    machine = await enrolled(http, owner)
    await told(http, machine)
    await set_schedule(http, owner, machine, hours="22-7")
    assert await told(http, machine, ALWAYS, 1, "its disk is full") is None
    refused = await shown(http, owner, machine)
    assert refused["schedule"] == ALWAYS
    assert (refused["schedule_wanted"]["hours"], refused["schedule_wanted"]["refused"]) == ("22-7", "its disk is full")
    # The next wish does not carry it along
    changed = await set_schedule(http, owner, machine, idle_minutes=3)
    assert changed["schedule_wanted"] == {"hours": None, "idle_only": False, "idle_minutes": 3.0, "refused": None}
    assert await told(http, machine, ALWAYS, 1, "its disk is full") == {"revision": 2, "wanted": {"idle_minutes": 3.0}}


async def test_an_agent_that_is_too_old_to_say_anything_goes_on_as_before(http, owner):
    machine = await enrolled(http, owner)
    assert (await beat(http, machine)).json()["schedule"] is None
    before = await shown(http, owner, machine)
    assert (before["schedule"], before["schedule_wanted"], before["caps"]) == (None, None, None)
    await set_schedule(http, owner, machine, hours="22-7")
    assert (await beat(http, machine)).status_code == 200
    assert (await shown(http, owner, machine))["schedule_wanted"]["hours"] == "22-7"


async def test_what_cannot_be_a_schedule_is_refused_in_words_and_nothing_is_half_done(http, owner):
    machine, stranger = await enrolled(http, owner), await register(http)
    path = f"{PATH}/{machine['provider_id']}"
    for wrong, why in (
        ({"hours": "noon"}, "'noon' names no hours, such as 22-7"), ({"hours": "7-7"}, "has no length"), ({"hours": ""}, "names no hours"),
        ({"hours": "22-7\x00"}, "names no hours"), ({"idle_minutes": 0}, "greater than 0"), ({"idle_minutes": 1441}, "1440"),
        ({"idle_only": "perhaps"}, "boolean"), ({"max_power_w": 900}, "not permitted"), ({"hours": "8-9," * 999}, "at most"),
    ):  # fmt: skip
        answer = await http.patch(path, json={"name": "cellar", "schedule": wrong}, headers=owner.headers)
        assert answer.status_code == 422, answer.text
        assert why in answer.text
    # Nobody else may set it, nor the machine itself
    assert (await http.patch(path, json={"schedule": {"hours": "22-7"}}, headers=stranger.headers)).status_code == 404
    assert (await http.patch(path, json={"schedule": {"hours": "22-7"}}, headers=machine_headers(machine))).status_code == 401
    seen = await shown(http, owner, machine)
    assert (seen["name"], seen["schedule_wanted"]) == ("attic", None)


async def test_why_it_holds_back_says_until_when(http, owner):
    machine = await enrolled(http, owner)
    holding = {"by": "schedule", "detail": "lends at 22-7", "until": "2026-11-21T22:00:00+01:00"}
    await told(http, machine, NIGHTS, holding=holding)
    reasons = (await http.get(f"{PATH}/{machine['provider_id']}/reasons", headers=owner.headers)).json()["reasons"]
    assert (reasons[0]["id"], reasons[0]["until"]) == ("state", "2026-11-21T21:00:00Z")
    assert [reason["until"] for reason in reasons[1:]] == [None] * (len(reasons) - 1)
