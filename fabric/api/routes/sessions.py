"""/api/v1/auth/sessions: where you are logged in, and the end of that."""

from fastapi import APIRouter

from fabric.api.dependencies import AccountCaller, OriginDep, ServicesDep
from fabric.api.pagination import PageDep, page_of
from fabric.api.schemas.accounts import SessionOut, SessionsEnded
from fabric.api.schemas.common import Page
from fabric.core.ids import SessionId
from fabric.identity import refresh, session_store

router = APIRouter(prefix="/api/v1/auth/sessions", tags=["account"])


@router.get("", response_model=Page[SessionOut])
async def list_sessions(principal: AccountCaller, services: ServicesDep, page: PageDep) -> Page[SessionOut]:
    """Your live log-ins, newest first."""
    async with services.database.reading() as reader:
        rows = await session_store.select_sessions(reader, principal.user_id, page.before, page.fetch)
    return page_of(rows, page, cursor=lambda session: session.id, render=lambda row: SessionOut.of(row, principal.session_id))


@router.delete("/{session_id}", status_code=204)
async def end_session(session_id: str, principal: AccountCaller, services: ServicesDep, origin: OriginDep) -> None:
    """End one log-in; its tokens are refused at once."""
    async with services.database.transaction() as tx:
        await refresh.end_session(tx, principal.user_id, SessionId.parse(session_id), origin.of(principal))


@router.delete("", response_model=SessionsEnded)
async def end_all_sessions(principal: AccountCaller, services: ServicesDep, origin: OriginDep) -> SessionsEnded:
    """Log out everywhere, here too. API keys stay good."""
    async with services.database.transaction() as tx:
        return SessionsEnded(ended=await refresh.end_all_sessions(tx, principal.user_id, origin.of(principal)))
