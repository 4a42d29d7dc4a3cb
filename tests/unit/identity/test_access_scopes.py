"""Principals and the scopes they may grant."""

import pytest

from fabric.core.errors import Forbidden, Invalid
from fabric.core.ids import UserId
from fabric.identity.access import DEFAULT_KEY_SCOPES, SCOPES, Principal, checked_scopes


def somebody(*scopes):
    return Principal(UserId.new(), "user", frozenset(scopes))


def test_a_principal_with_the_scope_passes_and_one_without_is_forbidden():
    somebody("jobs", "files").require("jobs", "files")
    with pytest.raises(Forbidden) as refusal:
        somebody("files").require("files", "jobs")
    assert refusal.value.fields == {"missing_scopes": ["jobs"]}


def test_a_new_key_reaches_everything_but_the_account_unless_asked_for():
    assert checked_scopes(None, somebody(*SCOPES)) == list(DEFAULT_KEY_SCOPES)
    assert "account" not in DEFAULT_KEY_SCOPES


def test_a_key_inherits_no_more_than_its_maker_has():
    assert checked_scopes(None, somebody("account", "jobs")) == ["jobs"]


def test_nobody_grants_a_scope_they_lack():
    with pytest.raises(Forbidden):
        checked_scopes(["wallet"], somebody("account", "jobs"))


@pytest.mark.parametrize("wanted", [["jobs", "everything"], []])
def test_unknown_scopes_and_none_at_all_are_refused(wanted):
    with pytest.raises(Invalid):
        checked_scopes(wanted, somebody(*SCOPES))
