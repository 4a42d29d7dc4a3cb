"""/api/v1/providers/statements: what an owner's machines earned in a month, as JSON, CSV or PDF. Its domain package is billing."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response

from fabric.api.dependencies import ProvidersCaller, ServicesDep
from fabric.api.schemas.statements import StatementOut
from fabric.billing import statements

router = APIRouter(prefix="/api/v1/providers/statements", tags=["statements"])


@router.get("", response_model=StatementOut)
async def show_statement(
    principal: ProvidersCaller,
    services: ServicesDep,
    month: Annotated[str, Query(description="Such as 2026-07, in UTC.", max_length=7)],
    format: Annotated[Literal["json", "csv", "pdf"], Query()] = "json",
) -> StatementOut | Response:
    """What your machines did in a month and what became of the money."""
    async with services.database.reading() as reader:
        statement = await statements.read_statement(reader, principal.user_id, month, livemode=services.payouts.livemode)
    if format == "json":
        return StatementOut.of(statement)
    headers = {"Content-Disposition": f'attachment; filename="statement-{month}.{format}"'}
    if format == "csv":
        return Response(statements.as_csv(statement), media_type="text/csv; charset=utf-8", headers=headers)
    pages = await asyncio.to_thread(statements.as_pdf, statement)
    return Response(pages, media_type="application/pdf", headers=headers)
