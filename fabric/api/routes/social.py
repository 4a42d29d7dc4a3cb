"""/api/v1/auth/social and /api/v1/auth/identities: log-in through identity providers. Its domain module is identity.social."""

from typing import Annotated

from fastapi import APIRouter, Cookie, Query, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from fabric.api.dependencies import AccountCaller, AnonymousDep, OriginDep, ServicesDep
from fabric.api.pages import HEADERS, page
from fabric.api.schemas.accounts import IdentitiesOut, IdentityOut, ProvidersOut, TicketIn
from fabric.api.schemas.auth import TokensOut
from fabric.core.errors import FabricError, NotFound, Unauthenticated
from fabric.core.ids import IdentityId
from fabric.identity import social, social_store, users
from fabric.identity.openid import OpenIdProvider
from fabric.wiring import Services

router = APIRouter(prefix="/api/v1/auth", tags=["account"])

COOKIE = "fabric_social"
COOKIE_PATH = "/api/v1/auth/social"
Words = Annotated[str | None, Query(max_length=2048)]


@router.get("/social", response_model=ProvidersOut)
async def list_providers(services: ServicesDep, _: AnonymousDep) -> ProvidersOut:
    """The identity providers through which one can log in here."""
    return ProvidersOut(data=list(services.identity_providers))


@router.get("/social/{provider}/start", status_code=302, response_class=RedirectResponse)
async def start(
    provider: str, services: ServicesDep, _: AnonymousDep, return_to: Annotated[str | None, Query(max_length=500)] = None
) -> RedirectResponse:
    """For browsers: leads to the provider, and ends at `return_to` with `#ticket=…`, or at a page that shows the ticket."""
    begun = await social.begin(services.database, services.settings.auth, _provider(services, provider), return_to)
    response = RedirectResponse(begun.url, status_code=302, headers={"Cache-Control": "no-store"})
    response.set_cookie(
        COOKIE, begun.browser_secret, max_age=social.UNDER_WAY_S, path=COOKIE_PATH, httponly=True, samesite="lax",
        secure=services.settings.auth.public_url.startswith("https://"),
    )  # fmt: skip
    return response


@router.get("/social/{provider}/callback", response_class=HTMLResponse, response_model=None)
async def callback(
    provider: str, services: ServicesDep, origin: OriginDep, _: AnonymousDep, state: Words = None, code: Words = None,
    fabric_social: Annotated[str | None, Cookie(max_length=200)] = None,
) -> Response:  # fmt: skip
    """Where the provider sends browsers back to."""
    try:
        if not (state and code and fabric_social):
            raise Unauthenticated("The log-in was broken off, or was begun in another browser; begin anew.")
        ticket, return_to = await social.finish(
            services.database, services.settings.auth, _provider(services, provider), state=state, code=code,
            browser_secret=fabric_social, origin=origin,
        )  # fmt: skip
    except FabricError as error:
        return page("That did not work", error.detail, status=error.status)
    response: Response
    if return_to is not None:
        response = RedirectResponse(f"{return_to}#ticket={ticket}", status_code=303, headers=HEADERS)
    else:
        minutes = social.TICKET_S // 60
        response = page("You are known", f"Within {minutes} minutes, finish with:", f"fabric account login --ticket {ticket}")
    response.delete_cookie(COOKIE, path=COOKIE_PATH)
    return response


@router.post("/social/exchange", response_model=TokensOut)
async def exchange(body: TicketIn, services: ServicesDep, origin: OriginDep, response: Response, _: AnonymousDep) -> TokensOut:
    """Exchange the ticket that the browser got for tokens, once; with a second factor `code` too."""
    response.headers["Cache-Control"] = "no-store"
    pair = await social.exchange(services.database, services.settings.auth, body.ticket, code=body.code, origin=origin)
    return TokensOut.of(pair)


@router.get("/identities", response_model=IdentitiesOut)
async def list_identities(principal: AccountCaller, services: ServicesDep) -> IdentitiesOut:
    """The identities of providers that open your account."""
    async with services.database.reading() as reader:
        rows = await social_store.select_identities(reader, principal.user_id)
    return IdentitiesOut(data=[IdentityOut.of(row) for row in rows])


@router.delete("/identities/{identity_id}", status_code=204)
async def unlink(identity_id: str, principal: AccountCaller, services: ServicesDep, origin: OriginDep) -> None:
    """Let an identity open your account no longer; refused while nothing else does."""
    user = await users.user(services.database, principal.user_id)
    async with services.database.transaction() as tx:
        await social.unlink(tx, user, IdentityId.parse(identity_id), origin.of(principal))


def _provider(services: Services, name: str) -> OpenIdProvider:
    found = services.identity_providers.get(name)
    if found is None:
        raise NotFound("There is no such identity provider here.")
    return found
