"""Your account: who you are, log-ins, second factor, audit log, export; and API keys."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fabric.client._async.transport import Transport
from fabric.client.display import Rows, Shown

AUTH = "/api/v1/auth"


class Account:
    """`client.account`. Most of it needs a credential with the scope `account`, such as an access token of `log_in`."""

    def __init__(self, transport: Transport) -> None:
        """Speak through `transport`."""
        self._transport = transport

    async def me(self) -> Shown:
        """Whose credential this is."""
        return Shown(await self._transport.request("GET", f"{AUTH}/me"))

    async def register(self, email: str, password: str) -> dict[str, Any]:
        """Make an account; gives its tokens as `log_in` does.

        Raises:
            AlreadyExists: this address has one.
        """
        return dict(await self._transport.request("POST", f"{AUTH}/register", json={"email": email, "password": password}))

    async def log_in(self, email: str, password: str, *, code: str | None = None) -> dict[str, Any]:
        """Tokens of a new log-in: `access_token`, `refresh_token` and how long they are good for.

        Raises:
            SecondFactorNeeded: give `code` too.
        """
        body = {"email": email, "password": password, "code": code}
        return dict(await self._transport.request("POST", f"{AUTH}/login", json=body))

    async def renew(self, refresh_token: str) -> dict[str, Any]:
        """Tokens in place of this one, which is good for one time only; showing it again ends the log-in.

        Raises:
            Unauthenticated: it was used, has expired, or is none.
        """
        return dict(await self._transport.request("POST", f"{AUTH}/refresh", json={"refresh_token": refresh_token}))

    async def log_out(self, refresh_token: str) -> None:
        """End the log-in of this token."""
        await self._transport.send("POST", f"{AUTH}/logout", json={"refresh_token": refresh_token})

    async def identity_providers(self) -> list[str]:
        """Through whom one can log in here beside a password."""
        return list((await self._transport.request("GET", f"{AUTH}/social"))["data"])

    async def identities(self) -> Rows:
        """Through whom you can log in."""
        return Rows((await self._transport.request("GET", f"{AUTH}/identities"))["data"])

    async def unlink(self, identity_id: str) -> None:
        """Log in through that identity no more."""
        await self._transport.send("DELETE", f"{AUTH}/identities/{identity_id}")

    async def finish_log_in(self, ticket: str, *, code: str | None = None) -> dict[str, Any]:
        """The same for the ticket that the browser showed after a log-in through an identity provider."""
        return dict(await self._transport.request("POST", f"{AUTH}/social/exchange", json={"ticket": ticket, "code": code}))

    async def change(self, current_password: str, *, email: str | None = None, new_password: str | None = None) -> dict[str, Any]:
        """Change the password, which ends all log-ins, or ask for another address, which counts once it is confirmed."""
        body = {"current_password": current_password, "email": email, "new_password": new_password}
        return dict(await self._transport.request("PATCH", f"{AUTH}/me", json=body))

    async def confirm_email(self, token: str) -> None:
        """Confirm an address with the token that was mailed there."""
        await self._transport.send("POST", f"{AUTH}/email/confirm", json={"token": token})

    async def ask_to_verify(self) -> None:
        """Have the mail sent again with which your address is confirmed."""
        await self._transport.send("POST", f"{AUTH}/email/verification")

    async def forgot_password(self, email: str) -> None:
        """Have a mail sent with which a new password can be chosen."""
        await self._transport.send("POST", f"{AUTH}/password/forgot", json={"email": email})

    async def reset_password(self, token: str, new_password: str) -> None:
        """Choose a new password with the token that was mailed."""
        await self._transport.send("POST", f"{AUTH}/password/reset", json={"token": token, "new_password": new_password})

    async def sessions(self) -> Rows:
        """Your live log-ins, newest first."""
        return await self._transport.rows(f"{AUTH}/sessions")

    async def end_session(self, session_id: str) -> None:
        """End one log-in at once."""
        await self._transport.send("DELETE", f"{AUTH}/sessions/{session_id}")

    async def log_out_everywhere(self) -> int:
        """End all log-ins; says how many."""
        return int((await self._transport.request("DELETE", f"{AUTH}/sessions"))["ended"])

    async def enrol_second_factor(self, current_password: str) -> dict[str, Any]:
        """`secret` and `otpauth_url` for an authenticator app; confirm with a code."""
        return dict(await self._transport.request("POST", f"{AUTH}/second-factor", json={"current_password": current_password}))

    async def confirm_second_factor(self, code: str) -> list[str]:
        """Switch it on; gives recovery codes, shown this once."""
        answer = await self._transport.request("POST", f"{AUTH}/second-factor/confirm", json={"code": code})
        return list(answer["recovery_codes"])

    async def switch_off_second_factor(self, current_password: str, code: str) -> None:
        """Ask for no code any more; `code` is one of the app, or a recovery code."""
        body = {"current_password": current_password, "code": code}
        await self._transport.send("POST", f"{AUTH}/second-factor/off", json=body)

    async def new_recovery_codes(self, current_password: str, code: str) -> list[str]:
        """Recovery codes in place of those there are, shown this once."""
        body = {"current_password": current_password, "code": code}
        answer = await self._transport.request("POST", f"{AUTH}/second-factor/recovery-codes", json=body)
        return list(answer["recovery_codes"])

    async def audit_log(self, *, act: str | None = None, limit: int = 100) -> Rows:
        """Security-relevant acts on your account and by you, newest first."""
        return await self._transport.rows(f"{AUTH}/audit-log", limit=limit, act=act)

    async def export(self, path: str | Path) -> Path:
        """Write everything that the fabric keeps about you to one zip of JSON."""
        target = Path(path)
        target.write_bytes((await self._transport.send("GET", f"{AUTH}/me/export")).content)
        return target

    async def delete(self, current_password: str, *, code: str | None = None, give_up_credit: bool = False) -> None:
        """Delete your account for good.

        Raises:
            Conflict: with what must come to its end first.
        """
        body = {"current_password": current_password, "code": code, "give_up_credit": give_up_credit}
        await self._transport.send("POST", f"{AUTH}/me/deletion", json=body)


class Keys:
    """`client.keys`: API keys. Needs the scope `account`."""

    def __init__(self, transport: Transport) -> None:
        """Speak through `transport`."""
        self._transport = transport

    async def list(self) -> Rows:
        """Your API keys, newest first."""
        return await self._transport.rows("/api/v1/api-keys")

    async def get(self, key_id: str) -> Shown:
        """One key: what it may do and when it was last used."""
        return Shown(await self._transport.request("GET", f"/api/v1/api-keys/{key_id}"))

    async def create(
        self,
        label: str,
        *,
        scopes: Sequence[str] | None = None,
        expires_s: int | None = None,
        requests_per_minute: int | None = None,
    ) -> dict[str, Any]:
        """A new key; `key` is shown this once. Without `scopes` it reaches everything but your account."""
        body = {
            "label": label,
            "scopes": list(scopes) if scopes else None,
            "expires_s": expires_s,
            "requests_per_minute": requests_per_minute,
        }
        return dict(await self._transport.request("POST", "/api/v1/api-keys", json=body))

    async def delete(self, key_id: str) -> None:
        """Make a key worthless at once."""
        await self._transport.send("DELETE", f"/api/v1/api-keys/{key_id}")
