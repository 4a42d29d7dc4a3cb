"""Bodies of /api/v1/operator."""

from typing import Annotated, Self

from pydantic import AwareDatetime, Field, model_validator

from fabric.api.schemas.common import Body, Moment
from fabric.api.schemas.marketplace import DeviceTableBody, PricesOut
from fabric.marketplace.prices import COMMISSION_BPS_MAX, PriceChange


class BanIn(Body):
    """Why a machine is cut off."""

    reason: Annotated[str, Field(min_length=1, max_length=500)]
    """For the records; the machine's owner is not told."""


class PriceChangeIn(Body):
    """What shall count: a commission, a device table, or both; for jobs that are submitted from `effective_at` on."""

    commission_bps: Annotated[int, Field(ge=0, le=COMMISSION_BPS_MAX)] | None = None
    """The platform's part of the price, in basis points."""
    devices: DeviceTableBody | None = None
    """The whole table; it replaces the one before."""
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    """Kept for ever, with who said it."""
    effective_at: AwareDatetime | None = None
    """Left out, or past: from now on. A later decision for the same moment replaces an earlier one."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.commission_bps is None and self.devices is None:
            raise ValueError("give commission_bps, devices or both")
        return self


class PriceChangeOut(Body):
    """One decision."""

    id: str
    kind: str
    """commission or devices."""
    commission_bps: int | None
    devices: DeviceTableBody | None
    operator_id: str
    reason: str
    effective_at: Moment
    decided_at: Moment
    in_effect: bool
    """Whether its time has come; a later decision may have replaced it."""

    @classmethod
    def of(cls, change: PriceChange) -> Self:
        """Show a decision."""
        return cls(
            id=str(change.id), kind=change.kind, commission_bps=change.commission_bps,
            devices=None if change.devices is None else DeviceTableBody.model_validate(change.devices),
            operator_id=str(change.operator_id), reason=change.reason, effective_at=change.effective_at,
            decided_at=change.created_at, in_effect=change.in_effect,
        )  # fmt: skip


class DecidedPricesOut(PricesOut):
    """What counts now, and the latest decisions."""

    changes: list[PriceChangeOut]
    """The latest, newest first; `/changes` has them all."""
