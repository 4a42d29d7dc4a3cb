from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from fabric.core.ids import JobId, OrderId, ProviderId
from fabric.jobs.job import Claim
from fabric.jobs.share import Candidate, cap_nanos, share_out

JOBS = [JobId(int=1), JobId(int=2)]
PROVIDERS = [ProviderId(int=11), ProviderId(int=12)]
HOUR_US = 3_600_000_000

claims_given = st.lists(
    st.builds(
        Claim, order_id=st.builds(OrderId.new), job_id=st.sampled_from(JOBS), provider_id=st.sampled_from(PROVIDERS), slot=st.just(0),
        count=st.integers(0, 6), rate_nanos_per_hour=st.integers(0, 50), cap_us_per_item=st.just(HOUR_US), lease_s=st.just(1.0),
        avoided_too=st.booleans(),
    ), max_size=5,
)  # fmt: skip


@st.composite
def waiting(draw):
    rows = draw(st.lists(st.tuples(st.sampled_from(JOBS), st.integers(1, 4), st.sampled_from([None, *PROVIDERS])), max_size=12))
    return [Candidate(UUID(int=100 + n), job, n, n, count, 0, avoid) for n, (job, count, avoid) in enumerate(rows)]


@given(claims=claims_given, candidates=waiting(), spendable=st.fixed_dictionaries({job: st.integers(0, 300) for job in JOBS}))
def test_sharing_never_doubles_overspends_or_gives_what_was_not_asked(claims, candidates, spendable):
    shared = share_out(claims, candidates, spendable)
    assert len({candidate.id for _, candidate, _ in shared}) == len(shared)
    for job in JOBS:
        assert sum(cap for index, _, cap in shared if claims[index].job_id == job) <= spendable[job]
    for index, claim in enumerate(claims):
        mine = [(candidate, cap) for n, candidate, cap in shared if n == index]
        assert len(mine) <= claim.count
        for candidate, cap in mine:
            assert candidate.job_id == claim.job_id
            assert cap == cap_nanos(claim, candidate.item_count)
            assert claim.avoided_too or candidate.avoid_provider_id != claim.provider_id


def a_claim(count: int, **changes: object) -> Claim:
    values = {"order_id": OrderId.new(), "job_id": JOBS[0], "provider_id": PROVIDERS[0], "slot": 0, "count": count, "lease_s": 1.0,
              "rate_nanos_per_hour": 10, "cap_us_per_item": HOUR_US} | changes  # fmt: skip
    return Claim(**values)


def candidates_of(*avoid: ProviderId | None) -> list[Candidate]:
    return [Candidate(UUID(int=100 + n), JOBS[0], n, n, 1, 0, provider) for n, provider in enumerate(avoid)]


def test_a_claim_gets_the_first_subtasks_in_input_order():
    shared = share_out([a_claim(2), a_claim(2)], candidates_of(None, None, None), {JOBS[0]: 1000})
    assert [(index, candidate.position) for index, candidate, _ in shared] == [(0, 0), (0, 1), (1, 2)]


def test_what_one_claim_passes_over_the_next_one_gets():
    claims = [a_claim(2), a_claim(2, provider_id=PROVIDERS[1])]
    shared = share_out(claims, candidates_of(PROVIDERS[0], None), {JOBS[0]: 1000})
    assert [(index, candidate.position) for index, candidate, _ in shared] == [(0, 1), (1, 0)]


def test_a_job_that_can_pay_two_caps_gets_two_leases():
    assert len(share_out([a_claim(5)], candidates_of(*[None] * 5), {JOBS[0]: 29})) == 2


def test_an_own_machine_costs_nothing_so_an_empty_hold_is_enough():
    assert len(share_out([a_claim(5, rate_nanos_per_hour=0)], candidates_of(*[None] * 5), {JOBS[0]: 0})) == 5
