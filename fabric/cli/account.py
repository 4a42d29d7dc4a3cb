"""The commands `fabric account …` and `fabric keys …`."""

from pathlib import Path
from typing import Annotated

import typer

from fabric.cli.commands import Commands, manner
from fabric.cli.printing import GONE, console, show, tell, tell_record
from fabric.cli.reach import connect

Password = Annotated[str, typer.Option(prompt=True, hide_input=True, help="Asked for when it is not given.")]
NewPassword = Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)]
Code = Annotated[str | None, typer.Option(help="Of the authenticator app, or a recovery code.")]

ME = {
    "id": lambda u: u["id"], "e-mail": lambda u: u["email"] + (GONE if u["email_verified"] else ", not confirmed"),
    "role": lambda u: u["role"], "second factor": lambda u: "on" if u["second_factor"] else "off", "since": lambda u: u["created_at"],
}  # fmt: skip

account_app = Commands(help="Your account: log-in, password, second factor, log-ins, audit log.", no_args_is_help=True)
keys_app = Commands(help="API keys.", no_args_is_help=True)


@account_app.command("show")
def account_show() -> None:
    """Whose credential this is."""
    with connect() as client:
        tell_record(client.account.me(), ME)


@account_app.command("confirm")
def account_confirm(token: str) -> None:
    """Confirm an e-mail address with the token of the mail."""
    with connect() as client:
        client.account.confirm_email(token)
    tell({"confirmed": True}, "confirmed")


@account_app.command("audit-log")
def account_audit_log(act: str | None = None, limit: int = 20) -> None:
    """Security-relevant acts on your account, newest first."""
    with connect() as client:
        found = client.account.audit_log(act=act, limit=limit)
    columns = {"at": lambda a: a["created_at"], "act": lambda a: a["act"], "from": lambda a: a["address"] or ""}
    show(found, columns)


@account_app.command("export")
def account_export(output: Path) -> None:
    """Write everything that this fabric keeps about you to a zip of JSON."""
    with connect() as client:
        written = client.account.export(output)
    tell({"path": str(written)}, f"{written} is written")


@account_app.command("delete")
def account_delete(
    password: Password,
    code: Code = None,
    give_up_credit: Annotated[bool, typer.Option(help="Give up credit and earnings that are left.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again.")] = False,
) -> None:
    """Delete your account for good."""
    if not yes:
        typer.confirm("Delete the account for good?", abort=True)
    with connect() as client:
        client.account.delete(password, code=code, give_up_credit=give_up_credit)
    tell({"deleted": True}, "deleted")


@account_app.command("login")
def account_login(
    email: Annotated[str | None, typer.Option(help="Left out with a ticket.")] = None,
    ticket: Annotated[str | None, typer.Option(help="What the browser showed after /api/v1/auth/social/…/start.")] = None,
    code: Code = None,
) -> None:
    """Log in; prints what to export. The access token reaches everything for a quarter of an hour: make an API key with it."""
    with connect() as client:
        if ticket is not None:
            tokens = client.account.finish_log_in(ticket, code=code)
        else:
            address = email or typer.prompt("E-mail")
            tokens = client.account.log_in(address, typer.prompt("Password", hide_input=True), code=code)
    tell(tokens, f"export FABRIC_API_KEY={tokens['access_token']}")


@account_app.command("change-password")
def account_change_password(password: Password, new_password: NewPassword) -> None:
    """Change your password; every log-in ends."""
    with connect() as client:
        client.account.change(password, new_password=new_password)
    tell({"changed": True}, "changed")


@account_app.command("reset-password")
def account_reset_password(
    email: Annotated[str | None, typer.Option(help="Have a mail sent there.")] = None,
    token: Annotated[str | None, typer.Option(help="The token of that mail.")] = None,
) -> None:
    """Choose a new password when you forgot yours: first with --email, then with --token."""
    with connect() as client:
        if token is not None:
            client.account.reset_password(token, typer.prompt("New password", hide_input=True, confirmation_prompt=True))
            tell({"changed": True}, "changed")
        else:
            client.account.forgot_password(email or typer.prompt("E-mail"))
            tell({"sent": True}, "If somebody has this address, a mail is on its way.")


@account_app.command("sessions")
def account_sessions() -> None:
    """Where you are logged in."""
    with connect() as client:
        found = client.account.sessions()
    columns = {
        "id": lambda s: s["id"], "device": lambda s: s["device"] or "", "address": lambda s: s["address"] or "",
        "last seen": lambda s: s["last_seen_at"], "this one": lambda s: "yes" if s["current"] else "",
    }  # fmt: skip
    show(found, columns)


@account_app.command("logout")
def account_logout(
    session_id: Annotated[str | None, typer.Argument(help="One log-in; left out: all of them.")] = None,
) -> None:
    """End one log-in, or all of them."""
    with connect() as client:
        if session_id is not None:
            client.account.end_session(session_id)
            tell({"ended": 1}, "ended")
        else:
            ended = client.account.log_out_everywhere()
            tell({"ended": ended}, f"{ended} ended")


@account_app.command("second-factor")
def account_second_factor(
    password: Password,
    off: Annotated[bool, typer.Option("--off", help="Switch it off; needs --code.")] = False,
    code: Code = None,
) -> None:
    """Have log-ins ask for a code of an authenticator app."""
    with connect() as client:
        if off:
            client.account.switch_off_second_factor(password, code or typer.prompt("Code"))
            tell({"second_factor": False}, "off")
            return
        made = client.account.enrol_second_factor(password)
        if manner.as_json:
            typer.echo(f"{made['otpauth_url']}", err=True)
        else:
            console.print(f"{made['otpauth_url']}\nsecret to type: {made['secret']}", highlight=False, soft_wrap=True)
        codes = client.account.confirm_second_factor(code or typer.prompt("Code that the app shows"))
    tell({"recovery_codes": codes}, "on; keep these recovery codes, each is good once:\n" + "\n".join(codes))


@keys_app.command("list")
def keys_list() -> None:
    """Your API keys, newest first."""
    with connect() as client:
        found = client.keys.list()
    columns = {
        "id": lambda k: k["id"], "label": lambda k: k["label"], "begins": lambda k: k["hint"],
        "scopes": lambda k: " ".join(k["scopes"]), "last used": lambda k: k["last_used_at"] or "never",
        "expires": lambda k: k["expires_at"] or "never",
    }  # fmt: skip
    show(found, columns)


@keys_app.command("create")
def keys_create(
    label: str,
    scope: Annotated[list[str] | None, typer.Option(help="May be repeated; default: all but account.")] = None,
    expires_s: Annotated[int | None, typer.Option(help="Seconds from now; default: never.")] = None,
    requests_per_minute: Annotated[int | None, typer.Option(help="A limit for this key.")] = None,
) -> None:
    """Make a key; it is shown once."""
    with connect() as client:
        made = client.keys.create(label, scopes=scope or None, expires_s=expires_s, requests_per_minute=requests_per_minute)
    tell(made, made["key"])


@keys_app.command("delete")
def keys_delete(key_id: str) -> None:
    """Make a key worthless at once."""
    with connect() as client:
        client.keys.delete(key_id)
    tell({"deleted": key_id}, f"{key_id} is worthless now")
