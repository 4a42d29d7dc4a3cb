"""/api/v1/auth: your audit log, everything about you as one zip, and the end of your account. Its domain package is accounts."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from fabric.accounts import deletion, export
from fabric.api.dependencies import AccountCaller, OriginDep, ServicesDep
from fabric.api.pagination import PageDep, page_of
from fabric.api.schemas.accounts import AuditLineOut, DeletionIn
from fabric.api.schemas.common import Page
from fabric.identity import audit, second_factor, throttle, users

router = APIRouter(prefix="/api/v1/auth", tags=["account"])


@router.get("/audit-log", response_model=Page[AuditLineOut])
async def list_own_acts(
    principal: AccountCaller,
    services: ServicesDep,
    page: PageDep,
    act: Annotated[str | None, Query(max_length=50, description="Only these, such as logged_in.")] = None,
) -> Page[AuditLineOut]:
    """Security-relevant acts on your account and by you, newest first."""
    async with services.database.reading() as reader:
        rows = await audit.lines(reader, user_id=principal.user_id, act=act, before=page.before, limit=page.fetch)
    return page_of(rows, page, cursor=lambda line: line.id, render=lambda line: AuditLineOut.own(line, principal.user_id))


@router.get("/me/export", response_class=StreamingResponse)
async def export_me(principal: AccountCaller, services: ServicesDep, origin: OriginDep) -> StreamingResponse:
    """Everything that this fabric keeps about you, as one zip of JSON; no secrets and no contents of files."""
    await throttle.take(services.database, throttle.EXPORT, principal.user_id.hex)
    file = await export.export_account(services.database, principal.user_id, origin.of(principal))
    headers = {
        "Content-Disposition": f'attachment; filename="{export.file_name(principal.user_id)}"', "Cache-Control": "no-store",
    }  # fmt: skip
    return StreamingResponse(export.pieces(file), media_type="application/zip", headers=headers)


@router.post("/me/deletion", status_code=204)
async def delete_me(body: DeletionIn, principal: AccountCaller, services: ServicesDep, origin: OriginDep) -> None:
    """Delete your account, now and for good. Refused while jobs run, money is held or on its way, or credit or earnings remain.

    Your data is erased; what the books must keep stays under an id that says nothing of you.
    """
    user = await users.user(services.database, principal.user_id)
    password = body.current_password.get_secret_value() if body.current_password else None
    await users.prove(services.database, user, password, principal.session_id)
    await second_factor.check(services.database, services.settings.auth, user, body.code, origin.of(principal))
    await deletion.delete_account(services.database, principal.user_id, origin.of(principal), give_up_credit=body.give_up_credit)
