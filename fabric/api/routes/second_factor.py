"""/api/v1/auth/second-factor: codes of an authenticator app at log-in."""

from fastapi import APIRouter, Response

from fabric.api.dependencies import AccountCaller, OriginDep, ServicesDep
from fabric.api.schemas.accounts import CodeIn, EnrolmentOut, ProofAndCodeIn, ProofIn, RecoveryCodesOut
from fabric.core.errors import Conflict
from fabric.identity import second_factor, users
from fabric.identity.access import Principal
from fabric.identity.origin import Origin
from fabric.identity.store import User
from fabric.wiring import Services

router = APIRouter(prefix="/api/v1/auth/second-factor", tags=["account"])


@router.post("", status_code=201, response_model=EnrolmentOut)
async def enrol(body: ProofIn, principal: AccountCaller, services: ServicesDep, response: Response) -> EnrolmentOut:
    """A secret for your authenticator app. Nothing is asked at log-in until you confirm with a code."""
    user = await users.user(services.database, principal.user_id)
    await users.prove(services.database, user, _password(body), principal.session_id)
    response.headers["Cache-Control"] = "no-store"
    async with services.database.transaction() as tx:
        return EnrolmentOut.of(await second_factor.enrol(tx, services.settings.auth, user))


@router.post("/confirm", response_model=RecoveryCodesOut)
async def confirm(
    body: CodeIn, principal: AccountCaller, services: ServicesDep, origin: OriginDep, response: Response
) -> RecoveryCodesOut:
    """Switch it on with a code of the app; the answer has recovery codes for when that is lost."""
    user = await users.user(services.database, principal.user_id)
    codes = await second_factor.confirm(services.database, services.settings.auth, user, body.code, origin.of(principal))
    response.headers["Cache-Control"] = "no-store"
    return RecoveryCodesOut(recovery_codes=codes)


@router.post("/off", status_code=204)
async def switch_off(body: ProofAndCodeIn, principal: AccountCaller, services: ServicesDep, origin: OriginDep) -> None:
    """Ask for no second factor any more; needs the password and a code, or a recovery code."""
    user = await _proven(services, principal, body, origin.of(principal))
    async with services.database.transaction() as tx:
        await second_factor.switch_off(tx, user, origin.of(principal))


@router.post("/recovery-codes", response_model=RecoveryCodesOut)
async def new_recovery_codes(
    body: ProofAndCodeIn, principal: AccountCaller, services: ServicesDep, origin: OriginDep, response: Response
) -> RecoveryCodesOut:
    """New recovery codes in place of the old."""
    user = await _proven(services, principal, body, origin.of(principal))
    response.headers["Cache-Control"] = "no-store"
    async with services.database.transaction() as tx:
        return RecoveryCodesOut(recovery_codes=await second_factor.make_recovery_codes(tx, user.id, origin.of(principal)))


async def _proven(services: Services, principal: Principal, body: ProofAndCodeIn, origin: Origin) -> User:
    user = await users.user(services.database, principal.user_id)
    if not user.has_second_factor:
        raise Conflict("No second factor is on.")
    await users.prove(services.database, user, _password(body), principal.session_id)
    await second_factor.check(services.database, services.settings.auth, user, body.code, origin)
    return user


def _password(body: ProofIn) -> str | None:
    return body.current_password.get_secret_value() if body.current_password else None
