"""Same key, same answer: once done, never done again, whatever happens in between."""

import asyncio

import pytest
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from fabric import wiring
from fabric.api.app import create_app
from fabric.api.dependencies import Caller, ServicesDep
from fabric.api.idempotency import idempotent, replayed
from fabric.api.routes import auth
from fabric.core.errors import InsufficientFunds
from fabric.identity import api_keys
from tests.fixtures.api import client_of, register, started


class Made(BaseModel):
    """What the tested route answers."""

    id: str


class Workshop:
    """A route that makes something (a row), and the levers of the test."""

    def __init__(self) -> None:
        self.router = APIRouter()
        self.router.add_api_route("/make", self.make, methods=["POST"], status_code=201)
        self.router.add_api_route("/make/other", self.make, methods=["POST"], status_code=201)
        self.acts = self.preparations = 0
        self.failure: Exception | None = None
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def make(self, request: Request, principal: Caller, services: ServicesDep) -> Response:
        body = await request.body()
        if replay := await replayed(request, principal, services, body):
            return replay
        self.preparations += 1

        async def act(tx):
            self.acts += 1
            made, _ = await api_keys.create(tx, principal.user_id, label="made", scopes=["jobs"])
            self.begun.set()
            await self.go_on.wait()
            if self.failure:
                raise self.failure
            return Made(id=str(made.id))

        return await idempotent(request, principal, services, body, act, status=201)


@pytest.fixture
def workshop():
    return Workshop()


@pytest.fixture
async def app(settings, workshop):
    async with started(create_app(lambda: wiring.build(settings), routes=[auth.router, workshop.router])) as app:
        yield app


@pytest.fixture
async def make(app, alice):
    async with client_of(app) as client:

        async def send(key="k1", body=b"{}", person=alice, path="/make"):
            headers = person.headers | ({} if key is None else {"Idempotency-Key": key})
            return await client.post(path, content=body, headers=headers)

        yield send


async def rows(owner_connection):
    found = await owner_connection.execute("SELECT count(*) FROM api_keys WHERE label = 'made'")
    return (await found.fetchone())[0]


async def test_the_second_request_gets_the_first_ones_answer_and_does_nothing(make, workshop, owner_connection):
    first, second = await make(), await make()
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json() == first.json()
    assert second.headers["content-type"] == first.headers["content-type"]
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert (workshop.preparations, workshop.acts, await rows(owner_connection)) == (1, 1, 1)


async def test_without_a_key_each_request_counts(make, owner_connection):
    assert (await make(key=None)).json() != (await make(key=None)).json()
    assert await rows(owner_connection) == 2


@pytest.mark.parametrize("change", [{"body": b'{"a": 1}'}, {"path": "/make/other"}, {"path": "/make?dry=1"}])
async def test_the_same_key_for_something_else_is_refused(make, owner_connection, change):
    await make()
    other = await make(**change)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert await rows(owner_connection) == 1


async def test_keys_of_different_users_have_nothing_to_do_with_each_other(make, api, owner_connection):
    bob = await register(api)
    assert (await make()).json() != (await make(person=bob)).json()
    assert await rows(owner_connection) == 2


async def test_while_the_first_request_runs_a_second_is_told_to_wait(make, workshop, owner_connection):
    workshop.go_on.clear()
    first = asyncio.create_task(make())
    await workshop.begun.wait()
    second = await make()
    assert (second.status_code, second.json()["code"]) == (409, "request_in_progress")
    assert int(second.headers["retry-after"]) >= 1
    workshop.go_on.set()
    done = await first
    assert (await make()).json() == done.json()
    assert await rows(owner_connection) == 1


async def test_a_refusal_is_not_kept_so_that_it_cannot_outlive_its_cause(make, workshop, owner_connection):
    workshop.failure = InsufficientFunds()
    assert (await make()).status_code == 402
    assert await rows(owner_connection) == 0
    workshop.failure = None
    assert (await make()).status_code == 201
    assert await rows(owner_connection) == 1


async def test_a_request_that_dies_in_the_middle_leaves_nothing_and_can_be_repeated(make, workshop, owner_connection):
    workshop.go_on.clear()
    dying = asyncio.create_task(make())
    await workshop.begun.wait()
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying
    assert await rows(owner_connection) == 0
    workshop.go_on.set()
    assert (await make()).status_code == 201
    assert await rows(owner_connection) == 1


async def test_many_at_once_make_one(make, owner_connection):
    answers = await asyncio.gather(*(make() for _ in range(8)))
    assert {a.status_code for a in answers} <= {201, 409}
    assert len({a.json()["id"] for a in answers if a.status_code == 201}) == 1
    assert await rows(owner_connection) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "kéy"])
async def test_a_key_that_is_no_key_is_refused(make, key, owner_connection):
    answer = await make(key=key.encode("latin-1"))
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    assert await rows(owner_connection) == 0
