"""Webhooks: signed as Stripe signs them, and delivered well or badly."""

import hashlib
import hmac
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tests.fakestripe.world import World

SECRET, SECRET_THIN = "whsec_fake_snapshot", "whsec_fake_thin"
FORGER = "whsec_somebody_else"

Post = Callable[[str, bytes, str], Awaitable[int]]
"""Sends a path, a body and a signature; answers with the status."""


@dataclass(frozen=True)
class Delivery:
    """One attempt to tell of one event: `number` counts the events of the world."""

    number: int
    how: Literal["plain", "forged", "altered"] = "plain"


def plan_all(world: World, since: int = 0) -> list[Delivery]:
    """Every event once, in order."""
    return [Delivery(n) for n in range(since, len(world.events))]


def plan_badly(events: int, chance: random.Random, *, lose: bool = True) -> list[Delivery]:
    """Some twice or more, some (if `lose`) never, some forged, all in any order."""
    plan = []
    for number in range(events):
        plan += [Delivery(number)] * chance.choice([0, 1, 1, 2, 5] if lose else [1, 1, 2, 5])
        if chance.random() < 0.3:
            plan.append(Delivery(number, chance.choice(["forged", "altered"])))
    chance.shuffle(plan)
    return plan


async def deliver(world: World, plan: Sequence[Delivery], post: Post) -> list[int]:
    """Carry out a plan; the statuses. Forged ones are refused, or the test fails by what they bring about."""
    statuses = []
    for delivery in plan:
        event = world.events[delivery.number]
        path, secret = path_of(event)
        body = json.dumps(event).encode()
        signature = sign(body, FORGER if delivery.how == "forged" else secret, world.now())
        if delivery.how == "altered":
            body = json.dumps(event | {"id": f"{event['id']}_altered"}).encode()
        statuses.append(await post(path, body, signature))
    return statuses


def path_of(event: dict[str, Any]) -> tuple[str, str]:
    """Where an event goes, and what signs it."""
    thin = event["object"] == "v2.core.event"
    return ("/webhooks/stripe/v2", SECRET_THIN) if thin else ("/webhooks/stripe", SECRET)


def sign(body: bytes, secret: str, at: int) -> str:
    """The header `Stripe-Signature`."""
    mac = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={mac}"
