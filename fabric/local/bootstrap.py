"""The first users of a local fabric: `you` with play money, `owner` of the local machines, `operator` of the fabric.

They are made over HTTP like anybody else's, but for the operator, whom nobody can become by asking. What is shown once (API keys, join token) is kept in FABRIC_HOME/secrets, so that a second start finds and only checks it.
"""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

import httpx

from fabric.core.settings import load_settings
from fabric.local.home import Home

YOU, OWNER = "you", "owner"  # machines and jobs of one user do not meet, so there are two
OPERATOR = "operator"
PLAY_MONEY_USD = "100"
JOIN_TOKEN_S = 30 * 86_400
JOIN_TOKEN_USES = 100
TIMEOUT_S = 30.0
PATIENCE_S = 30.0


class BootstrapFailed(Exception):
    """The endpoint refused something that `fabric up` needs."""


@dataclass(frozen=True)
class Credentials:
    """What a local fabric hands out."""

    api_key: str
    """Of `you`, the requestor."""
    owner_api_key: str
    """Of `owner`, who owns the local machines."""
    join_token: str
    """Lets machines join as `owner`'s."""
    operator_api_key: str
    """Of `operator`, who may ban machines."""


def bootstrap(url: str, home: Home, database_url: str) -> Credentials:
    """Make what is missing and check what there is.

    Raises:
        BootstrapFailed: the endpoint does not answer as it should.
    """
    asyncio.run(make_operator(database_url, str(home.secret(f"{OPERATOR}.password"))))
    with httpx.Client(base_url=f"{url}/api/v1", timeout=TIMEOUT_S, trust_env=False) as http:
        api_key, is_new = _api_key(http, home, YOU)
        if is_new and load_settings(home=home.path).billing.stripe_key is None:
            _play_money(http, api_key, home)
        owner_key, _ = _api_key(http, home, OWNER)
        operator_key, _ = _api_key(http, home, OPERATOR)
        return Credentials(api_key, owner_key, _join_token(http, home, owner_key), operator_key)


async def make_operator(database_url: str, password: str) -> None:
    """Make the user who may act on everybody's machines, if there is none."""
    from fabric.db.engine import Database
    from fabric.identity.users import find_or_register

    database = Database(database_url, pool_size=1)
    try:
        await find_or_register(database, f"{OPERATOR}@localhost", password, role="operator")
    finally:
        await database.close()


def _api_key(http: httpx.Client, home: Home, name: str) -> tuple[str, bool]:
    """The stored key when it still works, else a new one; and whether it is new."""
    stored = home.secret(f"{name}.api-key", make=False)
    if stored and _ask(http, "GET", "/wallet", stored, accept=(200, 401)).status_code == 200:
        return stored, False
    password = home.secret(f"{name}.password")
    credentials = {"email": f"{name}@localhost", "password": password}
    answer = _ask(http, "POST", "/auth/register", None, credentials, accept=(200, 201, 409))
    if answer.status_code == 409:
        answer = _ask(http, "POST", "/auth/login", None, credentials)
    access = str(answer.json()["access_token"])
    key = str(_ask(http, "POST", "/api-keys", access, {"label": "made by fabric up"}).json()["key"])
    home.keep_secret(f"{name}.api-key", key)
    return key, True


def _play_money(http: httpx.Client, key: str, home: Home) -> None:
    once = home.secret("play-money.key")  # the same key each time: a start that was interrupted here pays once
    _ask(http, "POST", "/wallet/top-ups", key, {"amount_usd": PLAY_MONEY_USD}, headers={"Idempotency-Key": f"up-{once}"})


def _join_token(http: httpx.Client, home: Home, key: str) -> str:
    """A fresh token; the last start's is revoked, so that tokens do not pile up."""
    stored = home.secret("join-token.json", make=False)
    if stored:
        _ask(http, "DELETE", f"/providers/join-tokens/{json.loads(stored)['id']}", key, accept=(200, 204, 404))
    wanted = {"label": "made by fabric up", "uses_max": JOIN_TOKEN_USES, "expires_s": JOIN_TOKEN_S}
    made = _ask(http, "POST", "/providers/join-tokens", key, wanted).json()
    home.keep_secret("join-token.json", json.dumps({"id": made["id"], "token": made["token"]}))
    return str(made["token"])


def last_heartbeats(url: str, owner_api_key: str) -> dict[str, str]:
    """When each of the owner's machines whose Ray node runs was last heard; by name, comparable only for equality."""
    with httpx.Client(base_url=f"{url}/api/v1", timeout=TIMEOUT_S, trust_env=False) as http:
        machines = _ask(http, "GET", "/providers?limit=200", owner_api_key).json()["data"]
    return {m["name"]: str(m["last_heartbeat_at"]) for m in machines if m["agent_state"].get("state") == "running"}


def _ask(
    http: httpx.Client,
    method: str,
    path: str,
    credential: str | None,
    body: dict[str, Any] | None = None,
    *,
    accept: tuple[int, ...] = (200, 201, 204),
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """One request; again for half a minute while the endpoint is restarting."""
    sent = {**({"Authorization": f"Bearer {credential}"} if credential else {}), **(headers or {})}
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            answer = http.request(method, path, json=body, headers=sent)
        except httpx.TransportError as error:
            if time.monotonic() > deadline:
                raise BootstrapFailed(f"{method} {path}: {error}") from None
        else:
            if answer.status_code in accept:
                return answer
            if answer.status_code != 503 or time.monotonic() > deadline:
                raise BootstrapFailed(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        time.sleep(0.2)
