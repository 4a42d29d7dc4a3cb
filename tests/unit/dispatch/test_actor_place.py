import pytest

from fabric.dispatch.fleet import HostileAnswer, NodeFacts
from fabric.dispatch.ray_fleet import Place, check_place

GRANTED = NodeFacts("a" * 56, "prv_1", "198.51.100.9")


def test_an_actor_on_its_node_at_its_address_is_believed():
    check_place(Place("a" * 56, "198.51.100.9"), GRANTED)


@pytest.mark.parametrize("place", [Place("b" * 56, "198.51.100.9"), Place("a" * 56, "127.0.0.1"), Place("b" * 56, "127.0.0.1")])
def test_an_actor_that_is_said_to_live_elsewhere_is_hostile(place):
    with pytest.raises(HostileAnswer, match=r"node aaaaaaaaaaaa at 198\.51\.100\.9 is said to live"):
        check_place(place, GRANTED)
