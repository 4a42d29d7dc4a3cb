"""Every business fact is a balanced list of postings."""

from hypothesis import given
from hypothesis import strategies as st

from fabric.billing import chart, postings
from fabric.core.ids import JobId, ProviderId, UserId

USER, JOB, PROVIDER = UserId.new(), JobId.new(), ProviderId.new()
AMOUNTS = st.integers(1, 2**63 - 1)


@given(amount=AMOUNTS, bps=st.integers(0, 10_000))
def test_a_capture_balances_and_its_split_is_exact(amount, bps):
    lines = postings.postings_for_capture(JOB, PROVIDER, amount, bps)
    by_side = {(line.account.split(":")[0], line.side): line.amount_nanos for line in lines}
    assert postings.imbalance_nanos(lines) == 0
    assert by_side[("job", "D")] == amount
    assert by_side.get(("platform", "C"), 0) == amount * bps // 10_000
    assert by_side.get(("provider", "C"), 0) == amount - amount * bps // 10_000


@given(amount=AMOUNTS)
def test_top_up_hold_and_release_balance(amount):
    facts = [
        postings.postings_for_top_up(USER, amount),
        postings.postings_for_hold(USER, JOB, amount),
        postings.postings_for_release(USER, JOB, amount),
    ]
    assert [postings.imbalance_nanos(lines) for lines in facts] == [0, 0, 0]
    assert [len(lines) for lines in facts] == [2, 2, 2]


def test_a_release_is_the_reverse_of_its_hold():
    hold, release = postings.postings_for_hold(USER, JOB, 7), postings.postings_for_release(USER, JOB, 7)
    assert {(line.account, line.side) for line in hold} == {(line.account, "DC"[line.side == "D"]) for line in release}


@given(amount=AMOUNTS, bps=st.integers(0, 10_000))
def test_no_line_moves_nothing(amount, bps):
    assert all(line.amount_nanos > 0 for line in postings.postings_for_capture(JOB, PROVIDER, amount, bps))


def test_accounts_are_named_after_their_owner():
    plain = f"{USER.hex[:8]}-{USER.hex[8:12]}-{USER.hex[12:16]}-{USER.hex[16:20]}-{USER.hex[20:]}"
    assert chart.account_name(chart.REQUESTOR_AVAILABLE, USER) == f"requestor:{plain}:available"
    assert chart.account_name(chart.PLATFORM_COMMISSION) == "platform:commission"


def test_every_liability_is_guarded_and_nothing_hot_is():
    assert {kind.no_overdraft for kind in chart.CHART if kind.account_class == "liability"} == {True}
    assert not [kind.name for kind in chart.CHART if kind.append_only and kind.no_overdraft]
    assert {kind.normal_side for kind in chart.CHART if kind.account_class in {"asset", "expense"}} == {"D"}
