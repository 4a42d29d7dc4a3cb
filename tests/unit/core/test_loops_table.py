"""The table of loops, and that a turn that fails does not end its loop."""

import asyncio
from typing import Any

from fabric.core.errors import DatabaseUnavailable
from fabric.loops import LOOPS, Loop, run_loops


def test_every_loop_has_a_name_of_its_own_a_period_and_says_what_it_is_for():
    assert len({loop.name for loop in LOOPS}) == len(LOOPS)
    assert all(loop.period_s > 0 and loop.act.__doc__ for loop in LOOPS)


async def test_a_turn_that_fails_is_followed_by_another():
    turns: asyncio.Queue[int] = asyncio.Queue()

    async def fails(_: Any) -> int:
        turns.put_nowait(1)
        raise DatabaseUnavailable if turns.qsize() % 2 else ZeroDivisionError

    running = asyncio.ensure_future(run_loops(None, [Loop("fails", 0.001, fails)]))  # type: ignore[arg-type]
    async with asyncio.timeout(10):
        for _ in range(4):
            await turns.get()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
