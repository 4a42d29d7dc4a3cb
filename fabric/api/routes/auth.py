"""/api/v1/auth: sign up, log in, API keys."""

from fastapi import APIRouter, Response

from fabric.api.dependencies import AccountCaller, AnonymousDep, Caller, LimiterDep, OriginDep, ServicesDep
from fabric.api.pagination import PageDep, page_of
from fabric.api.schemas.auth import (
    ApiKeyCreated,
    ApiKeyIn,
    ApiKeyOut,
    LoginIn,
    MeChange,
    MeOut,
    RefreshIn,
    RegisterIn,
    TokensOut,
)
from fabric.api.schemas.common import Page
from fabric.core.errors import NotFound
from fabric.core.ids import ApiKeyId
from fabric.identity import api_keys, proof_store, refresh, store, users
from fabric.identity.access import checked_scopes

LOGINS_PER_MINUTE = 20  # for one e-mail address, from wherever: nobody types faster, guessing needs more

router = APIRouter(prefix="/api/v1", tags=["auth"])


@router.post("/auth/register", status_code=201, response_model=TokensOut)
async def register(body: RegisterIn, services: ServicesDep, response: Response, origin: OriginDep, _: AnonymousDep) -> TokensOut:
    """Make an account and log in. A mail asks whether the address is yours."""
    settings = services.settings.auth
    user = await users.register(services.database, body.email, body.password.get_secret_value(), auth=settings, origin=origin)
    async with services.database.transaction() as tx:
        pair = await refresh.start_session(tx, settings, user.id, origin)
    return _shown(pair, response)


@router.post("/auth/login", response_model=TokensOut)
async def login(
    body: LoginIn, services: ServicesDep, limiter: LimiterDep, response: Response, origin: OriginDep, _: AnonymousDep
) -> TokensOut:
    """Exchange e-mail address and password for tokens; with a second factor `code` too, which `second_factor_needed` asks for."""
    limiter.take(f"login:{body.email.strip().lower()}", per_minute=LOGINS_PER_MINUTE)
    pair = await users.log_in(
        services.database, services.settings.auth, body.email, body.password.get_secret_value(), code=body.code, origin=origin
    )
    return _shown(pair, response)


@router.post("/auth/refresh", response_model=TokensOut)
async def refresh_tokens(
    body: RefreshIn, services: ServicesDep, response: Response, origin: OriginDep, _: AnonymousDep
) -> TokensOut:
    """Exchange a refresh token for new tokens; using one twice ends the log-in it came from."""
    return _shown(await refresh.rotate(services.database, services.settings.auth, body.refresh_token, origin), response)


@router.post("/auth/logout", status_code=204)
async def logout(body: RefreshIn, services: ServicesDep, origin: OriginDep, _: AnonymousDep) -> None:
    """End the log-in that this refresh token belongs to, access tokens included."""
    await refresh.log_out(services.database, body.refresh_token, origin)


@router.get("/auth/me", response_model=MeOut)
async def show_me(principal: Caller, services: ServicesDep) -> MeOut:
    """Whose credential this is."""
    return await _me(services, await users.user(services.database, principal.user_id))


@router.patch("/auth/me", response_model=MeOut)
async def change_me(
    body: MeChange, principal: AccountCaller, services: ServicesDep, limiter: LimiterDep, origin: OriginDep
) -> MeOut:
    """Change the password, or ask for another e-mail address: it counts once it is confirmed by the mail that is sent there."""
    limiter.take(f"change:{principal.user_id.hex}", per_minute=LOGINS_PER_MINUTE)
    changed = await users.change(
        services.database,
        services.settings.auth,
        principal.user_id,
        current_password=body.current_password.get_secret_value() if body.current_password else None,
        email=body.email,
        new_password=body.new_password.get_secret_value() if body.new_password else None,
        origin=origin.of(principal),
    )
    return await _me(services, changed)


@router.post("/api-keys", status_code=201, response_model=ApiKeyCreated)
async def create_api_key(
    body: ApiKeyIn, principal: AccountCaller, services: ServicesDep, response: Response, origin: OriginDep
) -> ApiKeyCreated:
    """Make an API key; the answer shows it this once, so it is not kept for an Idempotency-Key."""
    scopes = checked_scopes(body.scopes, principal)
    limit = services.settings.limits.api_keys_max
    async with services.database.transaction() as tx:
        key, secret = await api_keys.create(
            tx, principal.user_id, label=body.label, scopes=scopes, expires_s=body.expires_s, live_max=limit,
            requests_per_minute=body.requests_per_minute, origin=origin.of(principal),
        )  # fmt: skip
    response.headers["Cache-Control"] = "no-store"
    return ApiKeyCreated(key=secret, **dict(ApiKeyOut.of(key)))


@router.get("/api-keys", response_model=Page[ApiKeyOut])
async def list_api_keys(principal: AccountCaller, services: ServicesDep, page: PageDep) -> Page[ApiKeyOut]:
    """Your API keys, newest first."""
    async with services.database.reading() as reader:
        rows = await store.select_api_keys(reader, principal.user_id, page.before, page.fetch)
    return page_of(rows, page, cursor=lambda key: key.id, render=ApiKeyOut.of)


@router.get("/api-keys/{key_id}", response_model=ApiKeyOut)
async def show_api_key(key_id: str, principal: AccountCaller, services: ServicesDep) -> ApiKeyOut:
    """One API key."""
    wanted = ApiKeyId.parse(key_id)
    async with services.database.reading() as reader:
        key = await store.find_api_key(reader, principal.user_id, wanted)
    if key is None:
        raise NotFound(f"There is no API key {wanted} of yours.")
    return ApiKeyOut.of(key)


@router.delete("/api-keys/{key_id}", status_code=204)
async def delete_api_key(key_id: str, principal: AccountCaller, services: ServicesDep, origin: OriginDep) -> None:
    """Make an API key worthless at once."""
    async with services.database.transaction() as tx:
        await api_keys.revoke(tx, principal.user_id, ApiKeyId.parse(key_id), origin.of(principal))


def _shown(pair: refresh.TokenPair, response: Response) -> TokensOut:
    response.headers["Cache-Control"] = "no-store"
    return TokensOut.of(pair)


async def _me(services: ServicesDep, user: store.User) -> MeOut:
    async with services.database.reading() as reader:
        return MeOut.of(user, await proof_store.pending_email(reader, user.id))
