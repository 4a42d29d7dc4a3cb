"""Who may call what: every route of the OpenAPI document, one line each. A route that is not listed here fails the test."""

import re

import pytest

from fabric.api.app import openapi
from fabric.identity.access import SCOPES

PUBLIC = "public"  # no credential
ANY = "any"  # whoever is known
MACHINE = "machine"  # a machine's own credential (some also take its owner's)

MATRIX = {
    "GET /livez": PUBLIC,
    "GET /readyz": PUBLIC,
    "GET /metrics": PUBLIC,
    "POST /api/v1/auth/register": PUBLIC,
    "POST /api/v1/auth/login": PUBLIC,
    "POST /api/v1/auth/refresh": PUBLIC,
    "POST /api/v1/auth/logout": PUBLIC,
    "GET /api/v1/auth/me": ANY,
    "PATCH /api/v1/auth/me": "account",
    "POST /api/v1/api-keys": "account",
    "GET /api/v1/api-keys": "account",
    "GET /api/v1/api-keys/{key_id}": "account",
    "DELETE /api/v1/api-keys/{key_id}": "account",
    "POST /api/v1/files": "files",
    "GET /api/v1/files": "files",
    "POST /api/v1/files/uploads": "files",
    "POST /api/v1/files/{file_id}/complete": "files",
    "GET /api/v1/files/{file_id}": "files",
    "DELETE /api/v1/files/{file_id}": "files",
    "GET /api/v1/files/{file_id}/content": "files",
    "POST /api/v1/models": "models",
    "GET /api/v1/models": "models",
    "GET /api/v1/models/{reference}": "models",
    "GET /api/v1/models/{reference}/versions": "models",
    "GET /api/v1/models/{name}/versions/{version}": "models",
    "PATCH /api/v1/models/{name}": "models",
    "DELETE /api/v1/models/{name}": "models",
    "DELETE /api/v1/models/{name}/versions/{version}": "models",
    "POST /api/v1/quotes": "jobs",
    "POST /api/v1/jobs": "jobs",
    "GET /api/v1/jobs": "jobs",
    "GET /api/v1/jobs/{job_id}": "jobs",
    "GET /api/v1/jobs/{job_id}/subtasks": "jobs",
    "GET /api/v1/jobs/{job_id}/bill": "jobs",
    "GET /api/v1/jobs/{job_id}/results": "jobs",
    "GET /api/v1/jobs/{job_id}/results/{name}": "jobs",
    "GET /api/v1/jobs/{job_id}/events": "jobs",
    "POST /api/v1/jobs/{job_id}/cancel": "jobs",
    "POST /api/v1/jobs/{job_id}/budget": "jobs",
    "GET /api/v1/wallet": "wallet",
    "GET /api/v1/wallet/entries": "wallet",
    "POST /api/v1/wallet/top-ups": "wallet",
    "GET /api/v1/wallet/top-ups/{payment_id}": "wallet",
    "GET /api/v1/wallet/auto-top-up": "wallet",
    "PUT /api/v1/wallet/auto-top-up": "wallet",
    "GET /topped-up": PUBLIC,
    "POST /webhooks/stripe": PUBLIC,  # the signature is the credential
    "POST /webhooks/stripe/v2": PUBLIC,
    "POST /api/v1/wallet/refunds": "wallet",
    "GET /api/v1/wallet/refunds": "wallet",
    "GET /api/v1/wallet/limits": "wallet",
    "PATCH /api/v1/wallet/limits": "wallet",
    "POST /api/v1/wallet/promotions": "wallet",  # and only by an operator
    "GET /api/v1/payouts/account": "wallet",
    "POST /api/v1/payouts/account/onboarding": "wallet",
    "PATCH /api/v1/payouts/account": "wallet",
    "POST /api/v1/payouts": "wallet",
    "GET /api/v1/payouts": "wallet",
    "GET /api/v1/payouts/{payout_id}": "wallet",
    "GET /api/v1/providers/statements": "providers",
    "POST /api/v1/providers/join-tokens": "providers",
    "GET /api/v1/providers/join-tokens": "providers",
    "DELETE /api/v1/providers/join-tokens/{token_id}": "providers",
    "POST /api/v1/providers/enroll": PUBLIC,  # the join token in its body is the credential
    "POST /api/v1/providers/{provider_id}/session": MACHINE,
    "POST /api/v1/providers/{provider_id}/heartbeat": MACHINE,
    "GET /api/v1/providers": "providers",
    "GET /api/v1/providers/{provider_id}": "providers",
    "PATCH /api/v1/providers/{provider_id}": "providers",
    "DELETE /api/v1/providers/{provider_id}": "providers",
    "POST /api/v1/providers/{provider_id}/drain": MACHINE,
    "POST /api/v1/operator/providers/{provider_id}/ban": "providers",  # of an operator
    "GET /api/v1/operator/prices": "providers",  # of an operator
    "PUT /api/v1/operator/prices": "providers",
    "GET /api/v1/operator/prices/changes": "providers",
    "GET /api/v1/marketplace/prices": PUBLIC,
    "GET /api/v1/marketplace/offers": ANY,
    "GET /api/v1/marketplace/models": ANY,
    "GET /api/v1/marketplace/stats": ANY,
}


def declared() -> dict[str, str]:
    """What each route asks for, as the OpenAPI document says it."""
    found = {}
    for path, operations in openapi()["paths"].items():
        for method, details in operations.items():
            security = {name: scopes for entry in details.get("security", []) for name, scopes in entry.items()}
            if "Bearer" in security:
                assert len(security["Bearer"]) <= 1, f"{path} asks for several scopes"
                found[f"{method.upper()} {path}"] = next(iter(security["Bearer"]), ANY)
            else:
                found[f"{method.upper()} {path}"] = MACHINE if "MachineCredential" in security else PUBLIC
    return found


def test_every_route_asks_for_what_is_written_here_and_none_is_missing():
    assert declared() == MATRIX


def test_every_scope_is_one_that_keys_can_have():
    assert set(MATRIX.values()) - {PUBLIC, ANY, MACHINE} == set(SCOPES)


def routes_that_ask(*kinds):
    return [route.split(" ") for route, kind in MATRIX.items() if kind in kinds]


async def call(api, method, path, headers):
    return await api.request(
        method, re.sub(r"\{\w+\}", "1", path), headers=headers, json={} if method in {"POST", "PATCH"} else None
    )


async def test_nobody_gets_past_a_door_without_a_credential(api):
    for method, path in routes_that_ask(ANY, MACHINE, *SCOPES):
        answer = await call(api, method, path, {})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), f"{method} {path}"


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_key_without_the_scope_stays_outside_however_many_others_it_has(api, alice, scope):
    others = [other for other in SCOPES if other != scope]
    made = await api.post("/api/v1/api-keys", json={"label": "almost", "scopes": others}, headers=alice.headers)
    headers = {"Authorization": f"Bearer {made.json()['key']}"}
    for method, path in routes_that_ask(scope):
        answer = await call(api, method, path, headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), f"{method} {path}"
        assert answer.json()["missing_scopes"] == [scope]


async def test_what_only_looks_like_a_machines_credential_opens_nothing(api):
    headers = {"Authorization": "Bearer fpc_" + "x" * 43}
    for method, path in routes_that_ask(ANY, MACHINE, *SCOPES):
        answer = await call(api, method, path, headers)
        assert answer.status_code in {401, 422}, f"{method} {path}"  # 422: a machine's body is read before its credential
        assert answer.status_code == 401 or MATRIX[f"{method} {path}"] == MACHINE


async def test_a_user_is_no_machine(api, alice):
    for method, path in routes_that_ask(MACHINE):
        answer = await call(api, method, path, alice.headers)
        assert answer.status_code in {401, 404, 422}, f"{method} {path}"
