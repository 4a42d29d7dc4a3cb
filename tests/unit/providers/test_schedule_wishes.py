"""What an owner wishes of a machine's schedule, as values."""

import pytest

from fabric.core.errors import Invalid
from fabric.providers.schedule import check_wish, is_taken, order_for, wanted_in_full


def test_hours_are_checked_by_the_machines_own_grammar():
    assert check_wish({"hours": " MO-FR  22-7,sa-su 0-24 "}) == {"hours": "mo-fr 22-7,sa-su 0-24"}
    assert check_wish({"hours": "always", "idle_only": True}) == {"hours": None, "idle_only": True}
    assert check_wish({"idle_minutes": 3.0}) == {"idle_minutes": 3.0}
    for wrong in ("noon", "", "8:60-9", "7-7", "8-9," * 40, "8 -9" * 500):
        with pytest.raises(Invalid, match=r"^schedule\.hours: "):
            check_wish({"hours": wrong})


def test_a_wish_is_handed_on_until_the_machine_heard_it():
    assert order_for({}, 0, None) is None
    order = order_for({}, 2, {"hours": None})  # an agent that tells nothing may hear it still
    assert order is not None
    assert (order.revision, order.wanted) == (2, {"hours": None})
    assert order_for({"revision": 1}, 2, {"hours": None}) == order
    assert order_for({"revision": 2, "refused": "no"}, 2, {"hours": None}) is None


def test_what_is_refused_is_not_taken():
    assert is_taken({"revision": 2, "refused": None})
    assert not is_taken({"revision": 2, "refused": "no"})
    assert not is_taken({})


def test_a_wish_is_shown_whole():
    told = {"hours": "22-7", "idle_only": True, "idle_minutes": 9.0, "time_zone": "UTC"}
    assert wanted_in_full(told, None) is None
    assert wanted_in_full(told, {"hours": None}) == {"hours": None, "idle_only": True, "idle_minutes": 9.0}
    assert wanted_in_full({}, {"idle_only": True}) == {"hours": None, "idle_only": True, "idle_minutes": 5.0}
