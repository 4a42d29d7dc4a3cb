"""Password hashes: right, wrong, nobody's, and not too many at once."""

import asyncio

import pytest

from fabric.core.errors import Invalid, Unavailable
from fabric.identity.passwords import PASSWORD_BYTES_MAX, WAITING_MAX, hash_password, is_password


async def test_a_hash_knows_its_password_and_no_other():
    stored = await hash_password("correct horse")
    assert stored.startswith("$argon2id$")
    assert "correct" not in stored
    assert await is_password("correct horse", stored)
    assert not await is_password("correct horsf", stored)
    assert not await is_password("x" * (PASSWORD_BYTES_MAX + 1), stored)
    assert not await is_password("correct horse", None)


async def test_the_same_password_never_has_the_same_hash():
    assert await hash_password("correct horse") != await hash_password("correct horse")


@pytest.mark.parametrize("password", ["", "1234567", "x" * (PASSWORD_BYTES_MAX + 1)])
async def test_a_password_that_is_too_short_or_too_long_is_refused(password):
    with pytest.raises(Invalid):
        await hash_password(password)


async def test_a_flood_of_log_ins_is_told_to_come_back_and_the_rest_is_served():
    # Too long for any account, so each check is quick; what counts is how many wait.
    checks = [is_password("x" * (PASSWORD_BYTES_MAX + 1), None) for _ in range(WAITING_MAX + 5)]
    answers = await asyncio.gather(*checks, return_exceptions=True)
    assert sum(isinstance(answer, Unavailable) for answer in answers) == 5
    assert answers.count(False) == WAITING_MAX
    assert not await is_password("nobody is waiting any more", None)
