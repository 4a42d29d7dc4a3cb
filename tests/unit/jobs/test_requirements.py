from dataclasses import dataclass

import pytest

from fabric.core.errors import Invalid, NotFound
from fabric.core.ids import ProviderId, UserId
from fabric.jobs.requirements import Requirements, accepts_owner, matches

HERE, THERE = ProviderId.new(), ProviderId.new()


@dataclass
class Slot:
    provider_id: ProviderId = HERE
    accelerator: str = "cpu"
    memory_gib: float = 8.0
    region: str | None = "eu"


@pytest.mark.parametrize(
    ("asked", "accepted"),
    [
        ({}, True),
        ({"accelerator": ["cuda", "cpu"]}, True),
        ({"accelerator": ["cuda"]}, False),
        ({"memory_gib_min": 8}, True),
        ({"memory_gib_min": 8.5}, False),
        ({"region": ["eu", "us"]}, True),
        ({"region": ["us"]}, False),
        ({"providers": {"only": [str(HERE)]}}, True),
        ({"providers": {"only": [str(THERE)]}}, False),
        ({"providers": {"never": [str(THERE)]}}, True),
        ({"providers": {"never": [str(HERE)]}}, False),
    ],
)
def test_a_slot_is_accepted_when_it_is_all_that_was_asked(asked, accepted):
    assert matches(Requirements.of(asked), Slot()) is accepted


def test_a_machine_that_does_not_say_where_it_stands_is_in_no_region():
    assert not matches(Requirements.of({"region": ["eu"]}), Slot(region=None))


@pytest.mark.parametrize("asked", [{"accelerator": ["abacus"]}, {"memory_gib_min": -1}])
def test_nonsense_is_refused(asked):
    with pytest.raises(Invalid):
        Requirements.of(asked)


def test_an_id_that_is_no_providers_cannot_exist():
    with pytest.raises(NotFound):
        Requirements.of({"providers": {"only": ["usr_1"]}})


def test_a_job_runs_on_its_owners_machine_only_if_it_says_so():
    me, you = UserId.new(), UserId.new()
    assert not accepts_owner(me, False, me)
    assert accepts_owner(me, True, me)
    assert accepts_owner(me, True, you)
    assert accepts_owner(me, False, you)


def test_whoever_gave_the_credit_of_a_job_does_not_earn_it_but_may_run_their_own():
    me, giver, other = UserId.new(), UserId.new(), UserId.new()
    assert not accepts_owner(me, True, giver, {giver})
    assert accepts_owner(me, True, other, {giver})
    assert accepts_owner(giver, True, giver, {giver})  # there it costs and earns nothing
