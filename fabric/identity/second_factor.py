"""The second factor: time-based codes (RFC 6238) of an authenticator app, and recovery codes for when that is lost.

A code is good for its 30 seconds and the 30 on either side, and once. The secret lies encrypted in the database, recovery codes
hashed. API keys are not asked for it: they are made by somebody who was.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

import pyotp
from cryptography.fernet import InvalidToken

from fabric.core import clock
from fabric.core.errors import Conflict, Forbidden, SecondFactorNeeded, Unauthenticated
from fabric.core.ids import UserId
from fabric.core.settings import AuthSettings
from fabric.db.engine import Database, Transaction
from fabric.identity import audit, proof_store, throttle
from fabric.identity.cipher import SECOND_FACTOR, cipher
from fabric.identity.letters import SECOND_FACTOR_OFF, SECOND_FACTOR_ON
from fabric.identity.origin import Origin
from fabric.identity.store import User
from fabric.mail import outbox

STEP_S = 30
STEPS_AROUND = 1
RECOVERY_CODES = 10
RECOVERY_CHARACTERS = 16
ISSUER = "Fabric"
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that is mistaken for something else


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator app needs, shown once."""

    secret: str  # base 32
    otpauth_url: str


async def enrol(tx: Transaction, settings: AuthSettings, user: User) -> Enrolment:
    """A fresh secret; nothing is asked at log-in until `confirm`.

    Raises:
        Conflict: a second factor is on.
    """
    secret = pyotp.random_base32()
    if not await proof_store.write_second_factor(tx, user.id, secret=cipher(settings, SECOND_FACTOR).encrypt(secret.encode())):
        raise Conflict("A second factor is on; switch it off first.")
    return Enrolment(secret, pyotp.TOTP(secret, name=user.email, issuer=ISSUER).provisioning_uri())


async def confirm(database: Database, settings: AuthSettings, user: User, code: str, origin: Origin) -> list[str]:
    """Switch it on, proving that the app knows the secret; returns the recovery codes, shown this once.

    Raises:
        Conflict: nothing was enrolled, or it is on.
        Forbidden: the code is wrong.
        RateLimited: too many wrong ones.
    """
    await throttle.take(database, throttle.SECOND_FACTOR, user.id.hex)
    async with database.transaction() as tx:
        kept = await proof_store.second_factor(tx, user.id)
        if kept.is_on or kept.secret is None:
            raise Conflict("Enrol first." if kept.secret is None else "A second factor is on.")
        step = _step_of(settings, kept.secret, code)
        if step is None or not await proof_store.use_step(tx, user.id, step, confirms=True):
            raise Forbidden("This code is wrong; is the clock of your device right?")
        await throttle.clear(tx, throttle.SECOND_FACTOR, user.id.hex)
        await audit.record(tx, "second_factor_on", user.id, origin)
        await outbox.queue(tx, user.email, *SECOND_FACTOR_ON)
        return await make_recovery_codes(tx, user.id, origin)


async def switch_off(tx: Transaction, user: User, origin: Origin) -> None:
    """Ask for no second factor any more; whoever calls this has checked one."""
    await proof_store.write_second_factor(tx, user.id, secret=None)
    await proof_store.write_recovery_codes(tx, user.id, [])
    await audit.record(tx, "second_factor_off", user.id, origin)
    await outbox.queue(tx, user.email, *SECOND_FACTOR_OFF)


async def make_recovery_codes(tx: Transaction, user_id: UserId, origin: Origin) -> list[str]:
    """New recovery codes in place of the old, each good once."""
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(RECOVERY_CHARACTERS)) for _ in range(RECOVERY_CODES)]
    await proof_store.write_recovery_codes(tx, user_id, [_hash(code) for code in codes])
    await audit.record(tx, "recovery_codes_made", user_id, origin)
    return ["-".join(code[at : at + 4] for at in range(0, RECOVERY_CHARACTERS, 4)) for code in codes]


async def check(database: Database, settings: AuthSettings, user: User, code: str | None, origin: Origin) -> None:
    """Let pass whoever shows a fresh code or a recovery code, if a second factor is on; takes the code.

    Raises:
        SecondFactorNeeded: it is on and there is no code.
        Unauthenticated: the code is wrong, or was used before.
        RateLimited: too many wrong ones.
    """
    if not user.has_second_factor:
        return
    if not code:
        raise SecondFactorNeeded
    await throttle.take(database, throttle.SECOND_FACTOR, user.id.hex)
    # Decided inside the transaction, raised after it: the line in the log must be committed although the caller is refused.
    async with database.transaction() as tx:
        is_good = await _take_code(tx, settings, user, code, origin)
        if is_good:
            await throttle.clear(tx, throttle.SECOND_FACTOR, user.id.hex)
        else:
            await audit.record(tx, "second_factor_refused", user.id, origin)
    if not is_good:
        raise Unauthenticated("This code is wrong or was used before.")


async def _take_code(tx: Transaction, settings: AuthSettings, user: User, code: str, origin: Origin) -> bool:
    code = "".join(character for character in code.lower() if character.isascii() and character.isalnum())
    if len(code) == RECOVERY_CHARACTERS:
        used = await proof_store.use_recovery_code(tx, user.id, _hash(code))
        if used:
            await audit.record(tx, "recovery_code_used", user.id, origin)
        return used
    kept = await proof_store.second_factor(tx, user.id)
    if not kept.is_on or kept.secret is None:
        return False
    step = _step_of(settings, kept.secret, code)
    return step is not None and await proof_store.use_step(tx, user.id, step, confirms=False)


def _step_of(settings: AuthSettings, encrypted: bytes, code: str) -> int | None:
    """The time step near now that this is the code of."""
    try:
        totp = pyotp.TOTP(cipher(settings, SECOND_FACTOR).decrypt(encrypted).decode())
    except InvalidToken:  # the key was changed: recovery codes still work
        return None
    present = int(clock.now().timestamp()) // STEP_S
    found = None
    for step in range(present - STEPS_AROUND, present + STEPS_AROUND + 1):
        if hmac.compare_digest(totp.generate_otp(step).encode(), code.strip().encode()):
            found = step
    return found


def _hash(code: str) -> bytes:
    # 16 characters of 31 are 79 random bits: one round of a fast hash protects them.
    return hashlib.sha256(code.encode()).digest()
