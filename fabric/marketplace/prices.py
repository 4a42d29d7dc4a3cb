"""The prices that count now: commission and device table as operators decided, and what demand adds; with their history."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fabric.core.errors import Invalid
from fabric.core.ids import PriceChangeId, UserId
from fabric.core.settings import BillingSettings
from fabric.db.engine import Reader, Transaction
from fabric.marketplace.device_table import DEFAULT_TABLE, DeviceTable, Suggestions
from fabric.marketplace.statements import STATEMENTS

COMMISSION_BPS_MAX = 5000
"""An operator can take half of the price, and no more."""
AHEAD_MAX = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class DemandFactor:
    """How much demand adds to the suggestions of one device class."""

    device_class: str
    factor: float
    target: float  # where it moves
    updated_at: datetime
    minutes: float  # since then


@dataclass(frozen=True, slots=True)
class Prices:
    """What counts now. A moment is None where no operator has decided: then it is the setting, or the table that Fabric ships."""

    commission_bps: int
    commission_since: datetime | None
    table: DeviceTable
    table_since: datetime | None
    factors: tuple[DemandFactor, ...] = field(default_factory=tuple)

    @property
    def suggestions(self) -> Suggestions:
        """What owners are advised to ask."""
        return Suggestions(self.table, {factor.device_class: factor.factor for factor in self.factors})


@dataclass(frozen=True, slots=True)
class PriceChange:
    """One decision of an operator."""

    id: PriceChangeId
    kind: str  # commission or devices
    commission_bps: int | None
    devices: Mapping[str, Any] | None
    operator_id: UserId
    reason: str
    effective_at: datetime
    created_at: datetime
    in_effect: bool  # its time has come; a later one may have replaced it


async def present(reader: Reader, billing: BillingSettings) -> Prices:
    """Commission, device table and demand factors of this moment, on the database's clock."""
    rows = {row["kind"]: row for row in (await reader.execute(STATEMENTS["present_changes"])).mappings()}
    commission, devices = rows.get("commission"), rows.get("devices")
    return Prices(
        billing.commission_bps if commission is None else int(commission["commission_bps"]),
        None if commission is None else commission["effective_at"],
        DEFAULT_TABLE if devices is None else DeviceTable.of(devices["devices"]),
        None if devices is None else devices["effective_at"],
        tuple(await read_factors(reader)),
    )  # fmt: skip


async def read_factors(reader: Reader) -> list[DemandFactor]:
    """The demand factors, by device class."""
    return [DemandFactor(*row) for row in await reader.execute(STATEMENTS["factors"])]


async def change_commission(
    tx: Transaction, operator_id: UserId, commission_bps: int, *, reason: str, effective_at: datetime | None = None
) -> PriceChange:
    """Let another commission count for jobs that are submitted from `effective_at` on (None, or what has passed: from now on).

    Raises:
        Invalid: it is out of range, or too far ahead.
    """
    if not 0 <= commission_bps <= COMMISSION_BPS_MAX:
        raise Invalid(f"The commission lies between 0 and {COMMISSION_BPS_MAX} basis points.")
    return await _decide(
        tx, operator_id, reason, effective_at, {"kind": "commission", "commission_bps": commission_bps, "devices": None}
    )


async def change_devices(
    tx: Transaction, operator_id: UserId, table: DeviceTable, *, reason: str, effective_at: datetime | None = None
) -> PriceChange:
    """Let another device table count for jobs that are submitted from `effective_at` on (None, or what has passed: from now on).

    Raises:
        Invalid: it is too far ahead.
    """
    document = json.dumps(table.as_json())
    return await _decide(tx, operator_id, reason, effective_at, {"kind": "devices", "commission_bps": None, "devices": document})


async def list_changes(reader: Reader, *, before: UUID | None, limit: int) -> list[PriceChange]:
    """What operators decided, newest first, older than `before`."""
    rows = await reader.execute(STATEMENTS["changes"], {"before": before, "limit": limit})
    return [_change(row) for row in rows.mappings()]


async def _decide(
    tx: Transaction, operator_id: UserId, reason: str, effective_at: datetime | None, value: Mapping[str, Any]
) -> PriceChange:
    now: datetime = (await tx.execute(STATEMENTS["now"])).one().now
    if effective_at is not None and effective_at > now + AHEAD_MAX:
        raise Invalid(f"A change can be decided {AHEAD_MAX.days} days ahead.")
    given = {"id": PriceChangeId.new(), "operator_id": operator_id, "reason": reason, "effective_at": effective_at, **value}
    return _change((await tx.execute(STATEMENTS["insert_change"], given)).mappings().one())


def _change(row: Mapping[Any, Any]) -> PriceChange:
    return PriceChange(
        **{**row, "id": PriceChangeId.of(row["id"]), "operator_id": UserId.of(row["operator_id"])}
    )  # fmt: skip
