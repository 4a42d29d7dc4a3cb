"""/api/v1/auth/email and /api/v1/auth/password: what goes by mail; and /account, the pages that mails lead to."""

from typing import Annotated

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse

from fabric.api.dependencies import AccountCaller, AnonymousDep, OriginDep, ServicesDep
from fabric.api.pages import page, token_form
from fabric.api.schemas.accounts import Accepted, EmailIn, MailedTokenIn, PasswordResetIn
from fabric.core.errors import FabricError
from fabric.identity import recovery, throttle, users

router = APIRouter(prefix="/api/v1/auth", tags=["account"])
pages = APIRouter(prefix="/account", tags=["account"])

ShownToken = Annotated[str, Query(max_length=512)]
PostedToken = Annotated[str, Form(max_length=512)]
NEW_FIELD = '<p><label>New password <input type="password" name="password" minlength="8" autocomplete="new-password"></label></p>'


@router.post("/email/verification", status_code=202, response_model=Accepted)
async def ask_to_verify(principal: AccountCaller, services: ServicesDep) -> Accepted:
    """Have the mail that confirms your address sent again."""
    user = await users.user(services.database, principal.user_id)
    await throttle.take(services.database, throttle.MAIL_BY_RECIPIENT, user.email.lower())
    if not user.is_email_verified:
        async with services.database.transaction() as tx:
            await recovery.ask_to_verify(tx, services.settings.auth, user)
    return Accepted()


@router.post("/email/confirm", status_code=204)
async def confirm_email(body: MailedTokenIn, services: ServicesDep, origin: OriginDep, _: AnonymousDep) -> None:
    """Confirm an address with the token that was mailed there; the token is good once."""
    await recovery.confirm_address(services.database, body.token, origin)


@router.post("/password/forgot", status_code=202, response_model=Accepted)
async def forgot_password(body: EmailIn, services: ServicesDep, origin: OriginDep, _: AnonymousDep) -> Accepted:
    """Have a mail sent with which a new password can be chosen. The answer is the same if nobody has the address."""
    await recovery.ask_for_reset(services.database, services.settings.auth, body.email, origin)
    return Accepted()


@router.post("/password/reset", status_code=204)
async def reset_password(body: PasswordResetIn, services: ServicesDep, origin: OriginDep, _: AnonymousDep) -> None:
    """Choose a new password with the token that was mailed; every log-in ends, a second factor stays on."""
    await recovery.reset_password(services.database, body.token, body.new_password.get_secret_value(), origin)


@pages.get("/confirm", response_class=HTMLResponse)
async def confirm_page(token: ShownToken) -> HTMLResponse:
    """Where the mail about an address leads."""
    return page("Confirm your e-mail address", form=token_form("/account/confirm", token, "Confirm"))


@pages.post("/confirm", response_class=HTMLResponse)
async def confirm_by_page(token: PostedToken, services: ServicesDep, origin: OriginDep, _: AnonymousDep) -> HTMLResponse:
    """The button of that page."""
    try:
        await recovery.confirm_address(services.database, token, origin)
    except FabricError as error:
        return page("That did not work", error.detail, status=error.status)
    return page("Confirmed", "The address is yours. You can close this page.")


@pages.get("/reset", response_class=HTMLResponse)
async def reset_page(token: ShownToken) -> HTMLResponse:
    """Where the mail about a forgotten password leads."""
    return page("Choose a new password", form=token_form("/account/reset", token, "Change it", NEW_FIELD))


@pages.post("/reset", response_class=HTMLResponse)
async def reset_by_page(
    token: PostedToken, password: Annotated[str, Form(max_length=1024)], services: ServicesDep, origin: OriginDep, _: AnonymousDep
) -> HTMLResponse:
    """The button of that page."""
    try:
        await recovery.reset_password(services.database, token, password, origin)
    except FabricError as error:
        return page("That did not work", error.detail, status=error.status)
    return page("Your password is changed", "Every log-in was ended. Log in with the new one.")
