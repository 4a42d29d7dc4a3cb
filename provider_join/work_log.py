"""Reads the log of everything that ran on this machine, which the actors of its slots write.

One JSON line for each order: when, which model (its SHA-256), how many items and seconds, what became of it, bytes in and out. Whose
job it was and what was in it is told to no machine, so it is not here either.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from provider_join.records import size_of

POLL_S = 0.5


def read_log(path: Path, last: int) -> list[dict[str, Any]]:
    """The `last` orders, oldest first, over all files that there are."""
    lines: list[str] = []
    for file in sorted(path.parent.glob(f"{path.stem}-*{path.suffix}"), reverse=True):
        if len(lines) >= last:
            break
        lines = [*_lines(file), *lines]
    return list(_entries([*lines, *_lines(path)][-last:])) if last else []


def follow_log(path: Path) -> Iterator[dict[str, Any]]:
    """Orders as they end, from now on, for ever."""
    from_start = not path.exists()
    while True:
        with contextlib.suppress(OSError), path.open() as file:
            if not from_start:
                file.seek(0, 2)
            from_start = True  # the next file is a new one
            waiting = ""
            while waiting or _is_same(path, file.fileno()):
                waiting += file.readline()
                if waiting.endswith("\n"):
                    yield from _entries([waiting])
                    waiting = ""
                else:
                    time.sleep(POLL_S)
            yield from _entries(file.readlines())
        time.sleep(POLL_S)


def line_for_people(entry: dict[str, Any], *, with_order: bool = True) -> str:
    """One order in words."""
    at = datetime.fromisoformat(entry["at"]).astimezone()
    outcome = ", ".join(f"{count} {status}" for status, count in entry["outcome"].items())
    errors = f" ({', '.join(entry['errors'])})" if entry["errors"] else ""
    order = f"  {entry['order']}" if with_order else ""
    return (
        f"{at:%Y-%m-%d %H:%M:%S}  {entry['model'][:12]}  {entry['items']} items  {entry['seconds']:.3f} s  {outcome}{errors}  "
        f"in {size_of(entry['bytes_in'])}, out {size_of(entry['bytes_out'])}{order}"
    )


def _is_same(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _entries(lines: list[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        with contextlib.suppress(ValueError):  # the last one may be half written
            yield json.loads(line)
