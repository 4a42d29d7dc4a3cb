"""Who ran which part of a job when, as lanes of spans whose number is bounded however large the job is."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fabric.core.ids import JobId, ProviderId
from fabric.db.engine import Reader
from fabric.db.statements import load_statements

STATEMENTS = load_statements(Path(__file__).with_name("timeline.sql"))
EXACT_TRIES_MAX = 2000
"""Up to so many tries each is a span of its own; beyond, neighbours on a slot are drawn as one."""
LANES_MAX = 40
MERGED_SPANS = 1200
"""Aimed at, over all lanes, when spans are merged."""
LEASES_MAX = 1000


@dataclass(frozen=True, slots=True)
class Span:
    """One try on a slot, or several of the same outcome that began close to each other."""

    outcome: str  # done, failed, lost, cancelled, or leased: it runs now
    begins_at: datetime
    ends_at: datetime
    tries: int
    item_start: int | None  # None: several tries
    item_end: int | None
    billed_us: int
    gross_nanos: int


@dataclass(frozen=True, slots=True)
class Lane:
    """What one slot did for the job."""

    provider_id: ProviderId
    name: str  # as its owner calls the machine
    slot: int
    tries: int
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The busiest slots, at most LANES_MAX, by name."""

    begins_at: datetime | None  # None: nothing was tried yet
    ends_at: datetime | None
    tries: int
    lanes_total: int
    is_exact: bool
    lanes: tuple[Lane, ...]


async def read_timeline(reader: Reader, job_id: JobId) -> Timeline:
    """The timeline of a job, finished or not. The caller has checked whose job it is."""
    rows = (await reader.execute(STATEMENTS["lanes"], {"job_id": job_id})).mappings().all()
    if not rows:
        return Timeline(None, None, 0, 0, True, ())
    begins_at, ends_at = min(row["begins_at"] for row in rows), max(row["ends_at"] for row in rows)
    tries = sum(row["tries"] for row in rows)
    shown = rows[:LANES_MAX]
    if is_exact := tries <= EXACT_TRIES_MAX:
        found = await reader.execute(STATEMENTS["spans"], {"job_id": job_id})
    else:
        bucket_s = max(1e-6, (ends_at - begins_at).total_seconds() * len(shown) / MERGED_SPANS)
        wanted = {"job_id": job_id, "begins_at": begins_at, "bucket_s": bucket_s}
        found = await reader.execute(STATEMENTS["merged_spans"], wanted)
    of_lane = defaultdict[tuple[Any, int], list[Span]](list)
    for row in found.mappings():
        of_lane[row["provider_id"], row["slot"]].append(_span(row))
    leases = await reader.execute(STATEMENTS["leases"], {"job_id": job_id, "leases_max": LEASES_MAX})
    for row in leases.mappings():
        of_lane[row["provider_id"], row["slot"]].append(_span(row))
    lanes = [
        Lane(
            ProviderId.of(row["provider_id"]), row["name"], row["slot"], row["tries"], tuple(of_lane[row["provider_id"], row["slot"]])
        )
        for row in shown
    ]  # fmt: skip
    ordered = tuple(sorted(lanes, key=lambda lane: (lane.name, lane.provider_id, lane.slot)))
    return Timeline(begins_at, ends_at, tries, len(rows), is_exact, ordered)


def _span(row: Mapping[Any, Any]) -> Span:
    return Span(**{name: row[name] for name in Span.__slots__})
