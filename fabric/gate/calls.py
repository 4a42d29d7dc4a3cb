"""The calls that each machine has under way at the GCS, so that all of them can be ended at once."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fabric.core.ids import ProviderId


class CutOff(Exception):
    """The machine was cut off, or moved, while its call was under way."""


class Calls:
    """Calls under way."""

    def __init__(self) -> None:
        """None yet."""
        self._open: dict[ProviderId, dict[int, tuple[Any, list[bool]]]] = {}
        self._next = 0

    @contextmanager
    def under_way(self, provider_id: ProviderId, call: Any) -> Iterator[None]:
        """While the block lasts, `end` ends `call`; whatever way the block is left, the call is ended.

        Raises:
            CutOff: the machine's calls were ended meanwhile.
        """
        self._next += 1
        number, was_cut = self._next, [False]
        self._open.setdefault(provider_id, {})[number] = (call, was_cut)
        try:
            yield
        except asyncio.CancelledError:
            if was_cut[0]:
                raise CutOff from None
            raise
        finally:
            call.cancel()
            mine = self._open[provider_id]
            del mine[number]
            if not mine:
                del self._open[provider_id]

    def end(self, provider_id: ProviderId) -> int:
        """End all calls of this machine; how many."""
        ended = list(self._open.get(provider_id, {}).values())
        for call, was_cut in ended:
            was_cut[0] = True
            call.cancel()
        return len(ended)

    def count(self) -> Counter[ProviderId]:
        """Calls under way of each machine."""
        return Counter({provider_id: len(mine) for provider_id, mine in self._open.items()})
