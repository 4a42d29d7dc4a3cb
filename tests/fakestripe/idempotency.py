"""Idempotency keys as Stripe keeps them: same key and request, same answer (errors and 500 too); another request is refused."""

import hashlib
from dataclasses import dataclass
from typing import Any

from tests.fakestripe.refusals import Refused
from tests.fakestripe.world import World

LIFE_S = 24 * 3600


@dataclass
class Kept:
    """A request that began to execute, and its answer once there is one."""

    asked: bytes
    since: int
    status: int | None = None
    body: dict[str, Any] | None = None


class Keys:
    """The keys of all accounts."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.kept: dict[tuple[str, str], Kept] = {}

    def begin(self, account: str, key: str, method: str, path: str, body: bytes) -> Kept | None:
        """The answer that was given under this key; None: execute, then `end`.

        Raises:
            Refused: the key was used for something else, or is in use at this moment.
        """
        asked = hashlib.sha256(f"{method} {path}\n".encode() + body).digest()
        known = self.kept.get((account, key))
        if known is not None and self._world.now() - known.since < LIFE_S:
            if known.asked != asked:
                raise Refused(
                    400, "idempotency_error",
                    f"Keys for idempotent requests can only be used with the same parameters they were first used with. ('{key}')",
                )  # fmt: skip
            if known.status is None:
                raise Refused(
                    409, "invalid_request_error", "There is currently another in-progress request using this Stripe Idempotent Key.",
                    code="idempotency_key_in_use",
                )  # fmt: skip
            return known
        self.kept[account, key] = Kept(asked, self._world.now())
        return None

    def end(self, account: str, key: str, status: int, body: dict[str, Any]) -> None:
        """Keep an answer."""
        kept = self.kept[account, key]
        kept.status, kept.body = status, body

    def drop(self, account: str, key: str) -> None:
        """Nothing was executed."""
        self.kept.pop((account, key), None)
