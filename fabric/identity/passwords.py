"""Password hashes (argon2id), made and checked in threads of their own, two at a time.

A hash takes 64 MiB and tens of milliseconds on purpose; the small pool keeps a flood of log-ins from taking the whole machine.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from fabric.core.errors import Invalid, Unavailable

HASHERS_MAX = 2
WAITING_MAX = 64  # some two seconds of work; whoever comes then is told to come back
PASSWORD_CHARACTERS_MIN = 8
PASSWORD_BYTES_MAX = 1024

_hashers = ThreadPoolExecutor(HASHERS_MAX, thread_name_prefix="password")
_argon2 = PasswordHash((Argon2Hasher(),))
_nobodys_hash: str | None = None
_waiting = 0
Result = TypeVar("Result")


async def hash_password(password: str) -> str:
    """The hash to store.

    Raises:
        Invalid: the password is too short or too long.
        Unavailable: too many log-ins at once.
    """
    if len(password) < PASSWORD_CHARACTERS_MIN or len(password.encode()) > PASSWORD_BYTES_MAX:
        raise Invalid(f"A password has at least {PASSWORD_CHARACTERS_MIN} characters and at most {PASSWORD_BYTES_MAX} bytes.")
    return await _hashing(_argon2.hash, password)


async def is_password(password: str, stored_hash: str | None) -> bool:
    """Whether `password` belongs to the hash; takes as long when there is no hash, so that nobody learns who has an account.

    Raises:
        Unavailable: too many log-ins at once.
    """
    return await _hashing(_check, password, stored_hash)


async def _hashing(act: Callable[..., Result], *arguments: object) -> Result:
    global _waiting
    if _waiting >= WAITING_MAX:
        raise Unavailable("Too many are logging in at this moment.", retry_after_s=2)
    _waiting += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(_hashers, act, *arguments)
    finally:
        _waiting -= 1


def _check(password: str, stored_hash: str | None) -> bool:
    global _nobodys_hash
    if len(password.encode()) > PASSWORD_BYTES_MAX:
        return False
    if stored_hash is None:
        _nobodys_hash = _nobodys_hash or _argon2.hash("nobody has this password")
        _argon2.verify(password, _nobodys_hash)
        return False
    return _argon2.verify(password, stored_hash)
