"""Cursor pages, the same for every list: newest first, the cursor is the opaque id of the last row.

    @router.get("", response_model=Page[JobOut])
    async def list_jobs(principal: JobsCaller, services: ServicesDep, page: PageDep):
        async with services.database.reading() as reader:
            rows = await store.list_jobs(reader, principal.user_id, before=page.before, limit=page.fetch)
        return page_of(rows, page, cursor=lambda row: row.id, render=job_out)

`page.before` is None on the first page, else the UUID of the last row seen. `page.fetch` is one more than the page holds, so
that `page_of` knows whether another follows. For lists that are ordered by a number (a subtask's position), use
`page.before_text` and `cursor=lambda row: str(row.position)`.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import Depends, Query

from fabric.api.schemas.common import Page
from fabric.core.errors import Malformed

LIMIT_DEFAULT = 50
LIMIT_MAX = 200
CURSOR_CHARACTERS_MAX = 200

Row = TypeVar("Row")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page a caller wants."""

    limit: int
    before_text: str | None

    @property
    def fetch(self) -> int:
        """Rows to read: one more than the page holds."""
        return self.limit + 1

    @property
    def before(self) -> UUID | None:
        """The id of the last row of the page before.

        Raises:
            Malformed: the cursor is none of ours.
        """
        if self.before_text is None:
            return None
        try:
            return UUID(hex=self.before_text)
        except ValueError:
            raise Malformed("This cursor is not one that a page of this list gave.") from None

    @property
    def before_number(self) -> int | None:
        """The same for lists that are ordered by a number.

        Raises:
            Malformed: the cursor is none of ours.
        """
        if self.before_text is None:
            return None
        if not self.before_text.isdecimal() or len(self.before_text) > 18:
            raise Malformed("This cursor is not one that a page of this list gave.")
        return int(self.before_text)


def page_request(
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Rows of a page.")] = LIMIT_DEFAULT,
    cursor: Annotated[
        str | None, Query(max_length=CURSOR_CHARACTERS_MAX, description="`next_cursor` of the page before.")
    ] = None,
) -> PageRequest:
    """Read `?limit=&cursor=`.

    Raises:
        Malformed: the cursor cannot be read.
    """
    return PageRequest(limit, None if cursor is None else decode_cursor(cursor))


PageDep = Annotated[PageRequest, Depends(page_request)]


def page_of(
    rows: Sequence[Row], page: PageRequest, *, cursor: Callable[[Row], UUID | str | int], render: Callable[[Row], Item]
) -> Page[Item]:
    """The page made of up to `page.fetch` rows."""
    shown = rows[: page.limit]
    more = len(rows) > page.limit
    return Page(data=[render(row) for row in shown], next_cursor=encode_cursor(cursor(shown[-1])) if more else None)


def encode_cursor(last: UUID | str | int) -> str:
    """An opaque cursor for the last row of a page."""
    plain = last.hex if isinstance(last, UUID) else str(last)
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """What `encode_cursor` was given (a UUID as hex).

    Raises:
        Malformed: it was not made by `encode_cursor`.
    """
    try:
        plain = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        plain = ""
    if not plain.isprintable() or not plain:
        raise Malformed("This cursor is not one that a page of this list gave.")
    return plain
