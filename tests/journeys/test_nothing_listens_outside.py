"""A fabric on loopback has no listener that another machine could reach, Ray Serve's own included."""

import pytest

from fabric.local.listeners import find_listeners
from fabric.local.orphans import recorded
from fabric.local.processes import family

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


def test_every_listener_of_every_part_is_on_loopback(fabric):
    listeners = find_listeners({name: family(marks) for name, marks in recorded(fabric.home).items() if marks})
    assert {"front", "objects", "ray-head", "provider-1"} <= {one.part for one in listeners}
    assert any("ServeReplica" in one.process for one in listeners)
    assert [one for one in listeners if one.exposure != "loopback"] == []
