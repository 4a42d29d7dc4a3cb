"""Pages, problems and the fields every resource has.

Every body derives from Body, so unknown fields of requests are refused; amounts are `Money.of(nanos)`, times `Moment`, and lists
`Page[JobOut]`, which reads {"data": […], "next_cursor": …} (see api/pagination.py).
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, PlainSerializer

from fabric.core.money import usd_text

Item = TypeVar("Item")


class Body(BaseModel):
    """A request or response body."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


def rfc3339(moment: datetime) -> str:
    """A point in time as RFC 3339 in UTC, ending with Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


Moment = Annotated[datetime, PlainSerializer(rfc3339, return_type=str, when_used="json")]
"""A point in time, shown as RFC 3339 in UTC."""


class Money(Body):
    """An exact amount."""

    usd_nanos: int
    """Integer nano-USD."""
    usd: str
    """The same as a decimal string of USD."""

    @classmethod
    def of(cls, nanos: int) -> "Money":
        """Show an amount of nano-USD."""
        return cls(usd_nanos=nanos, usd=usd_text(nanos))


class Page(Body, Generic[Item]):
    """One page of a list."""

    data: list[Item]
    next_cursor: str | None = None
    """Give it back as `?cursor=`; null on the last page."""


class Problem(BaseModel):
    """An error (RFC 9457); some have more fields that help."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    type: str
    title: str
    status: int
    detail: str
    code: str
    """Stable; one for each kind of error."""
    request_id: str
    errors: list[dict[str, Any]] | None = None
    """What is wrong where: `[{"loc": […], "msg": "…"}]`."""
