"""The mutation gate itself: it finds a wrong line, says when it does not, and its table is about the ledger as it is."""

import pytest

from tests.fixtures.replays import replay_jobs
from tests.mutants.__main__ import DEFINITION, apply, killed_by
from tests.mutants.table import OF_JOBS, OF_MONEY, Mutant

HARMLESS = Mutant("release_hold", "RETURN _rest;", "RETURN _rest + 0;", "none")


async def test_every_mutant_changes_a_line_that_is_there(owner_connection):
    assert len(OF_JOBS) + len(OF_MONEY) >= 12
    for mutant in OF_JOBS + OF_MONEY:
        (definition,) = await (await owner_connection.execute(DEFINITION, [mutant.function])).fetchone()
        assert mutant.line in definition and mutant.mutant != mutant.line, mutant


def test_a_wrong_line_is_found(owner_url):
    assert killed_by(owner_url, OF_JOBS[0], lambda url: replay_jobs(url, range(3)))


def test_a_line_that_is_not_wrong_survives_and_one_that_is_not_there_is_an_error(owner_url):
    assert killed_by(owner_url, HARMLESS, lambda url: replay_jobs(url, range(2))) is None
    with pytest.raises(LookupError):
        apply(owner_url, Mutant("release_hold", "no such line", "", "none"))
