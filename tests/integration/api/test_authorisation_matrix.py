"""Who may call what: every route of the OpenAPI document as five kinds of caller. A route that is not classified fails the test.

The classes stand in authorisation.json, by route:

    scope      what the document asks for: public, any (whoever is known), machine, or a scope of API keys
    body       what is sent, so that a refusal is about the caller and not about the body
    anonymous, owner, other, lacking, operator
               the status, or its class, that each gets: without a credential; the owner of what the path names, with an access
               token; somebody else; the owner's API key with every scope but that one; an operator. "-": does not apply
"""

import json
import re
from pathlib import Path

import pytest

from fabric.api.app import openapi
from fabric.identity.access import SCOPES
from tests.fixtures.api import register
from tests.fixtures.belongings import belongings

MATRIX = json.loads(Path(__file__).with_name("authorisation.json").read_text())
CALLERS = ("anonymous", "owner", "other", "lacking", "operator")
LAST = "DELETE /api/v1/auth/sessions"
"""After it the caller is logged in no more."""


def declared():
    """What each route asks for, as the OpenAPI document says it."""
    found = {}
    for path, operations in openapi()["paths"].items():
        for method, details in operations.items():
            security = {name: scopes for entry in details.get("security", []) for name, scopes in entry.items()}
            if "Bearer" in security:
                assert len(security["Bearer"]) <= 1, f"{path} asks for several scopes"
                found[f"{method.upper()} {path}"] = next(iter(security["Bearer"]), "any")
            else:
                found[f"{method.upper()} {path}"] = "machine" if "MachineCredential" in security else "public"
    return found


def test_every_route_is_classified_and_asks_for_what_is_written():
    assert declared() == {route: row["scope"] for route, row in MATRIX.items()}


def test_every_line_says_something_about_every_caller():
    for route, row in MATRIX.items():
        assert set(row) - {"body", "scope"} == set(CALLERS), route
        if row["scope"] in SCOPES:
            assert (row["anonymous"], row["lacking"]) == ("401", "403"), route
        if "{" in route and row["scope"] in SCOPES and "/operator/" not in route:
            assert row["other"] in {"404", "403"}, f"{route}: what belongs to somebody else is not there"
        if "/operator/" in route:
            assert (row["owner"], row["other"]) == ("403", "403"), route


def test_every_scope_is_one_that_keys_can_have():
    assert {row["scope"] for row in MATRIX.values()} - {"public", "any", "machine"} == set(SCOPES)


async def test_every_route_answers_every_caller_as_written(api, owner_connection):
    # Given an owner of one of everything, somebody else, an operator, and the owner's keys that lack one scope each
    owner, other, operator = await register(api), await register(api), await register(api)
    await owner_connection.execute("UPDATE users SET role = 'operator' WHERE email = %s", [operator.email])
    things = await belongings(owner_connection, owner.id)
    lacking = {scope: await key_without(api, owner, scope) for scope in SCOPES}
    # When each calls each route, those who must be refused first and what ends things last
    answers = {}
    for caller in ("anonymous", "lacking", "other", "owner", "operator"):  # an operator's acts end things of the owner
        for route, row in sorted(MATRIX.items(), key=lambda item: (item[0] == LAST, item[0].startswith("DELETE"), item[0])):
            if row[caller] != "-":
                headers = {
                    "anonymous": {}, "other": other.headers, "operator": operator.headers, "owner": owner.headers,
                    "lacking": lacking.get(row["scope"], {}),
                }[caller]  # fmt: skip
                answers[route, caller] = await call(api, route, row, things, headers)
    # Then every answer is of the class that is written
    wrong = {
        f"{caller}: {route}": f"{status}, not {MATRIX[route][caller]}"
        for (route, caller), status in answers.items()
        if not fits(status, MATRIX[route][caller])
    }
    assert not wrong, json.dumps(wrong, indent=1)


async def test_what_only_looks_like_a_machines_credential_opens_nothing(api):
    headers = {"Authorization": "Bearer fpc_" + "x" * 43}
    for route, row in MATRIX.items():
        if row["scope"] != "public":
            status = await call(api, route, row, {}, headers)
            assert status == 401 or (status == 422 and row["scope"] == "machine"), route  # a machine's body is read first


def fits(status, wanted):
    return any(str(status) == word or (word.endswith("xx") and str(status)[0] == word[0]) for word in wanted.split("|"))


async def call(api, route, row, things, headers):
    method, path = route.split(" ")
    path = re.sub(r"\{(\w+)\}", lambda match: things.get(match[1], "1"), path)
    body = row.get("body")
    answer = await api.request(
        method, path, headers=headers, **({} if body is None else body if "data" in body else {"json": body})
    )
    assert answer.status_code < 500, f"{route}: {answer.text}"
    return answer.status_code


async def key_without(api, person, scope):
    wanted = {"label": "almost", "scopes": [other for other in SCOPES if other != scope]}
    made = await api.post("/api/v1/api-keys", json=wanted, headers=person.headers)
    return {"Authorization": f"Bearer {made.json()['key']}"}


@pytest.fixture
def settings(settings):
    limits = settings.limits.model_copy(update={"anonymous_requests_per_minute": 100_000})
    return settings.model_copy(update={"limits": limits})
