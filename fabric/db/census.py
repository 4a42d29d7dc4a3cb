"""Counts over the whole fabric, for metrics and for the statistics of the marketplace. No names, no owners."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from fabric.core import clock
from fabric.core.ids import ProviderId
from fabric.db.engine import Reader

DAY_S = 86_400
MACHINES_MAX = 500
"""Of whose devices readings are told: each device is several time series."""

_BY_STATUS = text("""
SELECT 'jobs' AS what, status, count(*) AS n FROM jobs GROUP BY status
UNION ALL SELECT 'subtasks', 'waiting', count(*) FROM subtasks WHERE status = 'waiting'
UNION ALL SELECT 'subtasks', 'leased', count(*) FROM subtasks WHERE status = 'leased'
UNION ALL SELECT 'providers', status, count(*) FROM providers GROUP BY status
""")

# Ids begin with the time at which they were made, so "of the last day" is a range of the primary key.
_MARKET = text("""
SELECT
  (SELECT count(*) FROM providers WHERE status = 'online') AS providers_online,
  offered.slots_online, offered.rates_nanos_per_hour,
  (SELECT count(DISTINCT (provider_id, slot)) FROM subtasks WHERE status = 'leased') AS slots_busy,
  (SELECT count(*) FROM models WHERE visibility = 'public' AND deleted_at IS NULL) AS models_public,
  (SELECT count(*) FROM jobs WHERE status IN ('queued', 'running')) AS jobs_open,
  (SELECT count(*) FROM jobs WHERE id >= :since) AS jobs_day,
  (SELECT coalesce(sum(items_done), 0) FROM jobs WHERE id >= :since) AS items_day
FROM (SELECT count(*) AS slots_online, coalesce(sum(s.rate_nanos_per_hour), 0) AS rates_nanos_per_hour
        FROM slots s JOIN providers p ON p.id = s.provider_id
       WHERE p.status = 'online' AND s.enabled AND p.agent_state -> 'holding' IS NULL) AS offered
""")


# What machines that are on line told of their devices; the longest on line first, so that the same ones are told each time.
_READINGS = text("""
SELECT p.id, d ->> 'device' AS device, e.key AS reading, CAST(e.value AS float) AS value
FROM (SELECT id, agent_state FROM providers WHERE status IN ('online', 'paused', 'draining') ORDER BY id LIMIT :machines_max) AS p,
     jsonb_array_elements(CASE jsonb_typeof(p.agent_state -> 'devices') WHEN 'array' THEN p.agent_state -> 'devices' ELSE '[]' END) AS d,
     jsonb_each(d) AS e
WHERE jsonb_typeof(e.value) = 'number'
""")


@dataclass(frozen=True, slots=True)
class Census:
    """How many there are, by status."""

    jobs: Mapping[str, int]
    subtasks: Mapping[str, int]  # waiting and leased ones only
    providers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class MarketCounts:
    """What the marketplace shows of itself. `_day`: of jobs submitted within the last 24 hours."""

    providers_online: int
    slots_online: int
    rates_nanos_per_hour: int  # of all of these together, so that who watches sees that a price has changed
    slots_busy: int
    models_public: int
    jobs_open: int
    jobs_day: int
    items_day: int


async def census(reader: Reader) -> Census:
    """Count jobs, subtasks and machines by status."""
    counts: dict[str, dict[str, int]] = {"jobs": {}, "subtasks": {}, "providers": {}}
    for row in await reader.execute(_BY_STATUS):
        counts[row.what][row.status] = row.n
    return Census(**counts)


async def device_readings(reader: Reader) -> dict[str, dict[tuple[str, ...], float]]:
    """What devices of at most MACHINES_MAX machines last told: by reading, then by machine and device."""
    found: dict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
    for row in await reader.execute(_READINGS, {"machines_max": MACHINES_MAX}):
        found[row.reading][str(ProviderId.of(row.id)), row.device] = row.value
    return found


async def market_counts(reader: Reader) -> MarketCounts:
    """Count what is on offer and what was done."""
    since_ms = int((clock.now().timestamp() - DAY_S) * 1000)
    row = (await reader.execute(_MARKET, {"since": UUID(int=since_ms << 80)})).one()
    return MarketCounts(**{name: int(value) for name, value in row._mapping.items()})
