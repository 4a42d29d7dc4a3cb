"""Pure: some of a job's items, as the inputs of a job of their own."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Range = tuple[int, int]
"""First item and how many."""


def join_ranges(ranges: Iterable[Range]) -> list[Range]:
    """The same items in order, in as few ranges as possible."""
    joined: list[Range] = []
    for first, count in sorted(ranges):
        if joined and first <= sum(joined[-1]):
            start, before = joined[-1]
            joined[-1] = (start, max(before, first + count - start))
        elif count > 0:
            joined.append((first, count))
    return joined


def select_inputs(document: Mapping[str, Any], ranges: Sequence[Range]) -> dict[str, Any]:
    """What `jobs.inputs` would keep for these items alone (see jobs.split); a broadcast input stays as it is.

    Args:
        document: Of the whole job.
        ranges: Within the job, in order and apart.
    """
    return {
        name: stored if stored.get("broadcast") else {**stored, "parts": _parts(stored["parts"], ranges)}
        for name, stored in document.items()
    }


def _parts(parts: Sequence[Mapping[str, Any]], ranges: Sequence[Range]) -> list[dict[str, Any]]:
    chosen: list[dict[str, Any]] = []
    for first, count in ranges:
        begins = 0
        for part in parts:
            items = _items(part)
            start, stop = max(first - begins, 0), min(first + count - begins, items)
            if start < stop:
                chosen.append(_cut(part, start, stop))
            begins += items
    return chosen


def _items(part: Mapping[str, Any]) -> int:
    return len(part["sizes"]) if "sizes" in part else int(part["items"])


def _cut(part: Mapping[str, Any], start: int, stop: int) -> dict[str, Any]:
    if "sizes" in part:
        skipped, size = sum(part["sizes"][:start]), sum(part["sizes"][start:stop])
        changed: dict[str, Any] = {"sizes": list(part["sizes"][start:stop])}
    else:
        skipped, size = start * part["row_bytes"], (stop - start) * part["row_bytes"]
        changed = {"items": stop - start}
    if "inline" in part:
        changed["inline"] = base64.b64encode(base64.b64decode(part["inline"])[skipped : skipped + size]).decode()
    else:
        changed["offset"] = part.get("offset", 0) + skipped
    return {**part, **changed}
