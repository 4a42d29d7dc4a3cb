"""Ids, money and settings: the words that everything else speaks in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.core.errors import Invalid, NotFound
from fabric.core.ids import JobId, SubtaskId
from fabric.core.money import NANOS_MAX, commission_nanos, price_nanos, usd_nanos, usd_text
from fabric.core.settings import load_settings


def test_an_id_is_read_back_from_its_text_and_sorts_by_time():
    first = JobId.new()
    assert JobId.parse(str(first)) == first
    assert str(first).startswith("job_")
    assert first.version == 7


@pytest.mark.parametrize(
    "text", ["", "job_", "sub_01m7yp41thftn9wfrg9qewf6y3", "job_01m7yp41thftn9wfrg9qewf6yu", "job_" + "z" * 26, "job_" + "0" * 27]
)
def test_a_text_that_is_no_such_id_names_nothing(text):
    with pytest.raises(NotFound):
        JobId.parse(text)


def test_ids_of_different_kinds_show_different_prefixes_for_the_same_bytes():
    job = JobId.new()
    assert str(SubtaskId.of(job)) == "sub_" + str(job)[4:]


@given(st.integers(0, NANOS_MAX))
def test_dollars_are_written_and_read_without_loss(nanos):
    assert usd_nanos(usd_text(nanos)) == nanos


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "1e-10", "abc", "", "9300000000"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(Invalid):
        usd_nanos(text)


@given(st.integers(0, 10**13), st.integers(0, 10**10))
def test_a_price_rounds_down_but_a_finished_subtask_costs_something(rate, billed_us):
    price = price_nanos(rate, billed_us)
    if rate == 0:
        assert price == 0
    else:
        assert price == max(1, rate * billed_us // 3_600_000_000)


@given(st.integers(0, 10**15), st.integers(0, 10_000))
def test_the_commission_is_never_more_than_its_share(gross, basis_points):
    assert 0 <= commission_nanos(gross, basis_points) * 10_000 <= gross * basis_points


def test_settings_come_from_the_environment_and_wrong_ones_are_all_named(tmp_path, monkeypatch):
    monkeypatch.setenv("FABRIC_DISPATCH_LEASE_S", "7")
    assert load_settings(home=tmp_path).dispatch.lease_s == 7
    monkeypatch.setenv("FABRIC_DISPATCH_LEASE_S", "soon")
    monkeypatch.setenv("FABRIC_PORT", "many")
    with pytest.raises(Invalid) as caught:
        load_settings(home=tmp_path)
    assert "FABRIC_DISPATCH_LEASE_S" in str(caught.value)
    assert "FABRIC_PORT" in str(caught.value)
