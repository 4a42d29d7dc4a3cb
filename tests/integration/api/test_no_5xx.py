"""Whatever the OpenAPI document allows to be sent, and much that it does not, is answered without a 5xx (schemathesis)."""

import asyncio
import socket
import threading
import time
import unittest
import uuid
from collections import Counter

import httpx
import psycopg
import pytest
import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from psycopg import sql
from schemathesis.generation import GenerationMode

from fabric import wiring
from fabric.api.app import create_app, openapi
from fabric.core.ids import UserId
from fabric.core.settings import load_settings
from fabric.db.migrate import ensure_application_role
from fabric.identity.access import SCOPES
from tests.fixtures.api import PASSWORD
from tests.fixtures.belongings import belongings

EXAMPLES = 2
"""Of each operation and kind; the slow test tries `MANY`."""
MANY = 40
STREAMS = {"GET /api/v1/jobs/{job_id}/events", "GET /api/v1/events"}
"""Answers that go on; they are asked with a time-out that ends them."""
REQUEST_S = 20.0


@pytest.fixture(scope="module")
def endpoint(postgres_server, template, tmp_path_factory):
    """The complete app on a database of its own, in a thread, behind a real socket."""
    name = f"t{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        owner_url = postgres_server.database_url(name)
        configured = load_settings(
            home=tmp_path_factory.mktemp("home"), log_level="error", auth={"jwt_key": "j" * 43},
            database={"app_url": ensure_application_role(owner_url), "pool_size": 5},
            storage={"public_url": "http://127.0.0.1:9", "signing_key": "k" * 43},
            limits={"anonymous_requests_per_minute": 10**6, "requests_per_minute": 10**6, "address_requests_per_minute": 10**6},
        )  # fmt: skip
        app = create_app(lambda: wiring.build(configured))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
            thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
            thread.start()
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            yield url, owner_url
            server.should_exit = True
            thread.join()
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(f"{name}_app")))


@pytest.fixture(scope="module")
def caller(endpoint):
    """An operator's API key with every scope, and one of everything that belongs to them."""
    url, owner_url = endpoint
    with httpx.Client(base_url=url, transport=httpx.HTTPTransport(retries=20), timeout=30) as api:
        account = {"email": f"{uuid.uuid4().hex[:12]}@example.com", "password": PASSWORD}
        access = {"Authorization": f"Bearer {api.post('/api/v1/auth/register', json=account).json()['access_token']}"}
        user_id = UserId.parse(api.get("/api/v1/auth/me", headers=access).json()["id"])
        key = api.post("/api/v1/api-keys", json={"label": "all", "scopes": list(SCOPES)}, headers=access).json()["key"]
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("UPDATE users SET role = 'operator'")

    async def make():
        async with await psycopg.AsyncConnection.connect(owner_url, autocommit=True) as connection:
            return await belongings(connection, user_id)

    return {"Authorization": f"Bearer {key}"}, asyncio.run(make())


def tried(endpoint, caller, examples):
    """Every operation, with what fits its schema and with what does not; gives what answered 5xx, and how often what was answered."""
    failures, counts = {}, Counter()
    with requests.Session() as session:
        session.trust_env = False
        for result in schemathesis.openapi.from_dict(without_security(openapi())).get_all_operations():
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                try:
                    try_operation(result.ok(), mode, endpoint[0], session, caller, examples, failures, counts)
                except (Unsatisfiable, unittest.SkipTest):
                    pass  # nothing that could be sent would be wrong
    return failures, counts


def without_security(document):
    """The document for somebody whose credential is always good: else most of what is wrong would be that."""
    for operations in document["paths"].values():
        for details in operations.values():
            details.pop("security", None)
    return document


def try_operation(operation, mode, url, session, caller, examples, failures, counts):
    headers, things = caller
    route = f"{operation.method.upper()} {operation.path}"

    @settings(
        max_examples=examples, derandomize=examples == EXAMPLES, deadline=None, database=None, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode), known=st.booleans())
    def ask(case, known):
        if known:  # ids that exist lead further than ids that do not
            for parameter in case.path_parameters or {}:
                case.path_parameters[parameter] = things.get(parameter, "x")
        try:
            answer = case.call(
                base_url=url,
                session=session,
                headers=headers,
                timeout=0.2 if route in STREAMS else REQUEST_S,
                allow_redirects=False,
            )
        except requests.Timeout:
            assert route in STREAMS, f"{route} does not answer"
            return
        counts[answer.status_code] += 1
        if answer.status_code >= 500:
            failures[route] = f"{answer.status_code} {answer.text[:300]} for {case.as_curl_command()[:600]}"

    ask()


@pytest.mark.timeout(600)
def test_a_few_of_everything_that_can_be_sent_are_answered_without_a_5xx(endpoint, caller):
    began = time.monotonic()
    failures, counts = tried(endpoint, caller, EXAMPLES)
    print(f"{sum(counts.values())} requests in {time.monotonic() - began:.0f} s: {dict(counts)}")
    assert failures == {}
    assert sum(n for status, n in counts.items() if status < 300) > 0, "nothing got through, so nothing was tried"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_much_of_everything_that_can_be_sent_is_answered_without_a_5xx(endpoint, caller):
    failures, _ = tried(endpoint, caller, MANY)
    assert failures == {}
