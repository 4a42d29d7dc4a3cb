"""/api/v1/events: what happens to an account, as one stream: its jobs, machines, wallet and the network's figures. Its domain module is accounts.pulse.

The id of each event is a mark of the state that it leaves behind. Who comes back with it (Last-Event-ID) is told what changed since,
in as far as it is known what they saw: whole topics; who comes back with nothing, or with what nobody can read, is told to start over.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any, cast

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse

from fabric.accounts.pulse import MARK_CHARACTERS_MAX, Pulse, Topic, changes, read_pulse, stale_topics
from fabric.api.dependencies import Caller, EventsDep, ServicesDep
from fabric.api.schemas.common import Body
from fabric.api.schemas.events import StartOverOut, bodies_of, only
from fabric.core.clock import monotonic_s
from fabric.core.errors import DatabaseUnavailable, Forbidden
from fabric.core.ids import UserId
from fabric.db.census import MarketCounts, market_counts
from fabric.db.engine import Reader
from fabric.events.stream import Bell, EventHub

RECONNECT_MS = 2000
GAP_S = 1.0
"""Between two looks at one account, however much happens."""
SWEEP_S = 5.0
"""Heartbeats and payments ring no bell; what they change is seen so late at most."""
HEARTBEAT_S = 15.0
STREAM_S_MAX = 600.0
"""Then the stream ends, and whoever comes back shows a credential that is still good."""
SCOPE_OF: dict[Topic, str] = {"jobs": "jobs", "machines": "providers", "wallet": "wallet"}
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

router = APIRouter(prefix="/api/v1/events", tags=["events"])


@router.get("", response_class=StreamingResponse)
async def follow_account(
    request: Request,
    principal: Caller,
    services: ServicesDep,
    hub: EventsDep,
    last_event_id: Annotated[str, Header(max_length=1000, description="Go on from the state that this event left behind.")] = "",
) -> StreamingResponse:
    """What happens to your jobs, machines and wallet, as server-sent events: `start_over`, `jobs`, `machines`, `wallet`, `network`.

    Only what the credential may see. At most one look in a second; the stream ends after ten minutes and is taken up again with
    `Last-Event-ID`.
    """
    topics = tuple(topic for topic, scope in SCOPE_OF.items() if principal.may(scope))
    if not topics:
        raise Forbidden("This credential sees neither jobs nor machines nor the wallet.", missing_scopes=list(SCOPE_OF.values()))
    mark = last_event_id if len(last_event_id) <= MARK_CHARACTERS_MAX else ""
    look = _Look(hub, principal.user_id, (*topics, "network"), request.app.state)
    stream = _stream(look, mark, livemode=services.payments.livemode)
    opening = await anext(stream)  # one stream too many is refused here, before the answer has begun
    return StreamingResponse(_after(opening, stream), media_type="text/event-stream", headers=HEADERS)


@dataclass(frozen=True, slots=True)
class _Look:
    """Whose account is looked at, and where the network's figures lie, which all streams of a process share."""

    hub: EventHub
    user_id: UserId
    topics: tuple[Topic, ...]
    state: Any

    async def now(self) -> Pulse:
        """The account and the network as they stand."""
        async with self.hub.reading() as reader:
            return await read_pulse(reader, self.user_id, self.topics, await self._figures(reader))

    async def next(self, bell: Bell) -> Pulse | None:
        """The same after the next ring or sweep; None while the database is away, which the next look makes up for."""
        started_s = monotonic_s()
        await bell.heard(SWEEP_S)
        await asyncio.sleep(max(0.0, GAP_S - (monotonic_s() - started_s)))
        bell.hush()
        try:
            return await self.now()
        except DatabaseUnavailable:
            return None

    async def _figures(self, reader: Reader) -> MarketCounts:
        read_at_s, figures = getattr(self.state, "figures", (None, None))
        if figures is None or read_at_s is None or monotonic_s() - read_at_s > SWEEP_S:
            self.state.figures = (monotonic_s(), figures := await market_counts(reader))
        return cast(MarketCounts, figures)


async def _stream(look: _Look, mark: str, *, livemode: bool) -> AsyncGenerator[str, None]:
    ends_at = monotonic_s() + STREAM_S_MAX
    with look.hub.account(look.user_id) as bell:
        bell.hush()
        seen = await look.now()
        yield f"retry: {RECONNECT_MS}\n\n"
        for name, body in _opening(seen, mark, livemode=livemode):
            yield _sse(seen.mark, name, body)
        told_at = monotonic_s()
        while monotonic_s() < ends_at and not bell.is_over:
            if (found := await look.next(bell)) is not None:
                for name, body in bodies_of(changes(seen, found), livemode=livemode):
                    yield _sse(found.mark, name, body)
                    told_at = monotonic_s()
                seen = found
            if monotonic_s() - told_at >= HEARTBEAT_S:
                yield ": still here\n\n"
                told_at = monotonic_s()


def _opening(seen: Pulse, mark: str, *, livemode: bool) -> list[tuple[str, Body]]:
    stale = stale_topics(seen, mark) if mark else None
    if stale is None:
        return [("start_over", StartOverOut(topics=list(seen.topics)))]
    return bodies_of(changes(only(seen, stale), seen), livemode=livemode, whole=stale)


async def _after(opening: str, stream: AsyncGenerator[str, None]) -> AsyncIterator[str]:
    async with aclosing(stream):
        yield opening
        async for chunk in stream:
            yield chunk


def _sse(mark: str, name: str, body: Body) -> str:
    return f"id: {mark}\nevent: {name}\ndata: {body.model_dump_json()}\n\n"
