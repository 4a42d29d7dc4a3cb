"""One turn of the price engine: remember what waits and what is idle, move each demand factor one step, let slots follow."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fabric.core.settings import BillingSettings
from fabric.db.engine import Reader, Transaction
from fabric.marketplace import demand, prices
from fabric.marketplace.demand import Sample
from fabric.marketplace.device_table import DEFAULT_TABLE, DeviceTable, Suggestions
from fabric.marketplace.statements import STATEMENTS

OLDER_TABLES_MAX = 8
"""A job that has seen more changes of the device table than that is priced by the oldest of the last ones."""


async def reprice(tx: Transaction, seen: Mapping[str, Sample], billing: BillingSettings) -> int:
    """Take in one look at the market; how many slots ask for something else now.

    Two clerks that overlap do no harm: one turn waits for the other, and a factor moves by the time since it last moved.
    """
    await tx.execute(STATEMENTS["lock_demand"])
    await _remember(tx, seen)
    await _move_factors(tx)
    found = await prices.present(tx, billing)
    older = [(until_s, Suggestions(table, found.suggestions.factors)) for until_s, table in await _older_tables(tx)]
    return await _let_slots_follow(tx, found.suggestions, older)


async def samples_of_last_hour(reader: Reader) -> list[dict[str, Sample]]:
    """The looks of the last hour, oldest first: each by device class."""
    looks: dict[Any, dict[str, Sample]] = {}
    for row in await reader.execute(STATEMENTS["samples"], {"window_s": demand.WINDOW_S}):
        looks.setdefault(row.taken_at, {})[row.device_class] = Sample(row.slots, row.idle, row.backlog_s)
    return list(looks.values())


async def _remember(tx: Transaction, seen: Mapping[str, Sample]) -> None:
    given = {
        "classes": list(seen), "slots": [s.slots for s in seen.values()], "idle": [s.idle for s in seen.values()],
        "backlogs": [s.backlog_s for s in seen.values()],
    }  # fmt: skip
    await tx.execute(STATEMENTS["insert_samples"], given)
    await tx.execute(STATEMENTS["delete_old_samples"], {"window_s": demand.WINDOW_S})


async def _move_factors(tx: Transaction) -> None:
    """A class of which nothing was seen for an hour goes back to 1."""
    present = {factor.device_class: factor for factor in await prices.read_factors(tx)}
    averages = {row.device_class: row for row in await tx.execute(STATEMENTS["averages"], {"window_s": demand.WINDOW_S})}
    classes = sorted(present.keys() | averages.keys())
    targets = [
        demand.target_factor(averages[name].backlog_s, averages[name].idle_share) if name in averages else demand.FACTOR_MIN
        for name in classes
    ]
    factors = [
        demand.next_factor(present[name].factor, target, float(present[name].minutes)) if name in present else demand.FACTOR_MIN
        for name, target in zip(classes, targets, strict=True)
    ]
    await tx.execute(STATEMENTS["write_factors"], {"classes": classes, "factors": factors, "targets": targets})


async def _older_tables(tx: Transaction) -> list[tuple[float, DeviceTable]]:
    rows = (await tx.execute(STATEMENTS["superseded_tables"], {"tables_max": OLDER_TABLES_MAX})).all()
    return [
        (float(row.until_s), DEFAULT_TABLE if row.devices_before is None else DeviceTable.of(row.devices_before))
        for row in reversed(rows)
    ]


async def _let_slots_follow(tx: Transaction, now: Suggestions, older: Sequence[tuple[float, Suggestions]]) -> int:
    changed = []
    for slot in (await tx.execute(STATEMENTS["auto_slots"])).mappings().all():
        facts = {"threads": slot["threads"], "memory_gib": slot["memory_gib"]}
        rate = now.rate_nanos_per_hour(slot["accelerator"], slot["device"], **facts)
        before = [[until_s, was.rate_nanos_per_hour(slot["accelerator"], slot["device"], **facts)] for until_s, was in older]
        if (rate, before) != (slot["rate_nanos_per_hour"], slot["older_rates"]):
            changed.append((slot["provider_id"], slot["slot"], rate, json.dumps(before)))
    if changed:
        names = ("provider_ids", "slots", "rates", "older_rates")
        await tx.execute(STATEMENTS["write_auto_rates"], dict(zip(names, map(list, zip(*changed, strict=True)), strict=True)))
    return len(changed)
