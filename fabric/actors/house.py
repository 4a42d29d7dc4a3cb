"""The rules of the house that a slot is a guest in: what the owner's agent wrote down for it, and the log of what ran there.

The agent leaves the rules in the home folder that it gives to what runs here; where there are none (a fleet in memory, a test),
nothing is limited and nothing is written. A log line says what was run for whom and how long, never what was in it.
"""

import contextlib
import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fabric.actors.messages import Order, Receipt
from fabric.core import clock
from fabric.core.ids import OrderId

RULES = "fabric-house.json"
MODELS = "models"
LOG_BYTES_MAX = 4 * 1024 * 1024
"""Of one file of the log, then a new one begins."""
LOG_FILES_MAX = 8
"""Older ones are removed."""


@dataclass(frozen=True, slots=True)
class House:
    """What the owner allows one slot; None: no limit."""

    work_log: Path | None = None
    bytes_per_s: int | None = None  # each way
    memory_bytes: int | None = None
    disk_bytes: int | None = None  # of models kept in `models`; None: none is kept
    models: Path | None = None

    def memory_of(self, granted: int | None) -> int | None:
        """The smaller of what the fabric grants a slot and what the owner allows."""
        return min((limit for limit in (granted, self.memory_bytes) if limit is not None), default=None)

    def note(self, order: Order, receipt: Receipt) -> None:
        """Add a line to the log. A disk that is full, or a log that cannot be written, stops no work."""
        if self.work_log is not None:
            with contextlib.suppress(OSError):
                append_line(self.work_log, json.dumps(line_of(order, receipt)))


def house_of(home: Path) -> House:
    """The rules that lie in a home folder; none where there are none, or they cannot be read."""
    try:
        rules = json.loads((home / RULES).read_text())
        limits = {name: rules[name] for name in ("bytes_per_s", "memory_bytes", "disk_bytes")}
        return House(Path(rules["work_log"]), **limits, models=home / MODELS)
    except (OSError, ValueError, KeyError, TypeError):
        return House()


def line_of(order: Order, receipt: Receipt) -> dict[str, Any]:
    """What the log says of one order: no input, no output, no address."""
    parts = [part for subtask in order.subtasks for wanted in subtask.inputs for part in wanted.parts]
    fetched = sum(len(part.data) if part.data is not None else part.length for part in parts)
    return {
        "at": clock.now().isoformat(timespec="milliseconds"),
        "order": str(OrderId(bytes=order.id)),
        "model": order.model.sha256,
        "subtasks": len(order.subtasks),
        "items": sum(subtask.item_count for subtask in order.subtasks),
        "outcome": dict(Counter(subtask.status for subtask in receipt.subtasks)) or {"failed": len(order.subtasks)},
        "errors": sorted({code for code in (receipt.error_code, *(s.error_code for s in receipt.subtasks)) if code}),
        "seconds": round(sum(subtask.run_us for subtask in receipt.subtasks) / 1e6, 6),
        "load_seconds": round(receipt.load_us / 1e6, 6),
        "bytes_in": fetched + (order.model.size if receipt.load_us else 0),
        "bytes_out": sum(len(s.output) if s.output is not None else s.output_size for s in receipt.subtasks),
    }


def append_line(path: Path, line: str, bytes_max: int = LOG_BYTES_MAX, files_max: int = LOG_FILES_MAX) -> None:
    """Add a line by one write at the end, which slots of one machine may do at once without mixing their lines.

    Raises:
        OSError: it cannot be written, or another slot began the next file at this moment; then the line is written all the same.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line.encode() + b"\n")
        size = os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
    if size >= bytes_max:
        # A name of its own each time: of two slots that do this at once none overwrites the other's file.
        stamp = clock.now().strftime("%Y%m%dT%H%M%S%f")
        path.rename(path.with_name(f"{path.stem}-{stamp}-{os.getpid()}{path.suffix}"))
        for old in sorted(path.parent.glob(f"{path.stem}-*{path.suffix}"))[: -(files_max - 1)]:
            old.unlink(missing_ok=True)
