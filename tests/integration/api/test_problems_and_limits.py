"""What every request meets: ids, problems, limits."""

import asyncio
import json

import httpx
import pytest
from fastapi import APIRouter, Request
from pydantic import BaseModel

from fabric import wiring
from fabric.api.app import create_app
from fabric.api.dependencies import AnonymousDep, Caller
from fabric.api.middleware import body_bytes_max
from fabric.api.routes import auth
from fabric.core.errors import Unavailable
from fabric.core.settings import MIB, LimitSettings
from tests.fixtures.api import client_of, started

BODY_BYTES_MAX = 1000


class Number(BaseModel):
    """What the tested route takes."""

    n: int


router = APIRouter()


@router.post("/number")
async def take_number(body: Number) -> int:
    return body.n


@router.post("/stream")
async def take_stream(request: Request) -> int:
    return sum([len(chunk) async for chunk in request.stream()])


@router.get("/broken")
async def broken() -> None:
    raise ZeroDivisionError("a secret: hunter2")


@router.get("/away")
async def away() -> None:
    raise Unavailable("come back", retry_after_s=6.2)


@router.get("/anonymous")
async def anonymous(_: AnonymousDep) -> None:
    return None


@router.get("/mine")
async def mine(principal: Caller) -> None:
    return None


@pytest.fixture
async def app(settings):
    limits = settings.limits.model_copy(
        update={"body_bytes_max": BODY_BYTES_MAX, "requests_per_minute": 3, "anonymous_requests_per_minute": 3}
    )
    limited = settings.model_copy(update={"limits": limits})
    async with started(create_app(lambda: wiring.build(limited), routes=[auth.router, router])) as app:
        yield app


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"] == f"urn:fabric:problem:{code}"
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["title"]
    assert problem["detail"]
    return problem


async def test_every_answer_carries_an_id_and_keeps_a_decent_one_of_the_caller(api):
    first, second = await api.post("/number", json={"n": 1}), await api.post("/number", json={"n": 1})
    assert first.headers["x-request-id"].startswith("req_")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    own = await api.post("/number", json={"n": 1}, headers={"X-Request-Id": "my-id.7"})
    assert own.headers["x-request-id"] == "my-id.7"
    for bad in ("", "a b", "x" * 129, 'a"b'):
        answer = await api.get("/nowhere", headers={"X-Request-Id": bad})
        assert answer.headers["x-request-id"].startswith("req_")


async def test_an_unknown_route_and_a_wrong_method_are_problems(api):
    assert_problem(await api.get("/nowhere"), 404, "not_found")
    wrong = await api.delete("/number")
    assert_problem(wrong, 405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"


async def test_a_body_that_does_not_fit_says_where(api):
    problem = assert_problem(await api.post("/number", json={"n": "seven"}), 422, "invalid")
    assert problem["errors"][0]["loc"] == ["body", "n"]
    assert "seven" not in str(problem)


@pytest.mark.parametrize("body", [b"{", b'{"n": 1', b"\xff\xfe", b'{"n": 1}}'])
async def test_malformed_json_is_a_problem_of_its_own(api, body):
    assert_problem(await api.post("/number", content=body, headers={"Content-Type": "application/json"}), 400, "malformed")


async def test_our_own_mistakes_say_nothing_of_the_inside(api):
    problem = assert_problem(await api.get("/broken"), 500, "internal")
    assert "hunter2" not in str(problem)


async def test_an_error_that_passes_says_when_to_come_back(api):
    answer = await api.get("/away")
    assert_problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "7"


async def test_a_body_over_the_limit_is_refused_before_it_is_read(app):
    read = []

    async def body():
        read.append(1)
        yield b"x" * (BODY_BYTES_MAX + 1)

    async with client_of(app) as client:
        headers = {"Content-Length": str(BODY_BYTES_MAX + 1), "Content-Type": "application/json"}
        answer = await client.post("/number", content=body(), headers=headers)
    assert_problem(answer, 413, "too_large")
    assert answer.json()["bytes_max"] == BODY_BYTES_MAX
    assert read == []


@pytest.mark.parametrize("path", ["/number", "/stream"])
async def test_a_body_of_unannounced_length_is_cut_off_at_the_limit(app, path):
    sent = []

    async def body():
        for number in range(100):
            sent.append(number)
            yield b" " * 500

    async with client_of(app) as client:
        answer = await client.post(path, content=body(), headers={"Content-Type": "application/json"})
    assert_problem(answer, 413, "too_large")
    assert len(sent) == 3


async def test_a_body_of_exactly_the_limit_is_read(api):
    assert (await api.post("/stream", content=b"x" * BODY_BYTES_MAX)).json() == BODY_BYTES_MAX


def test_uploads_have_limits_of_their_own():
    limits = LimitSettings(body_bytes_max=1, upload_bytes_max=10 * MIB, model_bytes_max=20 * MIB)
    assert body_bytes_max(limits, "POST", "/api/v1/files") == 11 * MIB
    assert body_bytes_max(limits, "POST", "/api/v1/models") == 21 * MIB
    assert body_bytes_max(limits, "POST", "/api/v1/files/uploads") == 1
    assert body_bytes_max(limits, "PATCH", "/api/v1/files") == 1


async def test_a_caller_that_asks_too_often_is_told_to_wait_and_others_are_not(api, alice):
    # Registering and asking who one is took one request of the address and one of alice.
    for _ in range(2):
        assert (await api.get("/mine", headers=alice.headers)).status_code == 200
    answer = await api.get("/mine", headers=alice.headers)
    assert_problem(answer, 429, "rate_limited")
    assert 1 <= int(answer.headers["retry-after"]) <= 20
    assert (await api.get("/anonymous")).status_code == 200


async def test_callers_without_a_credential_are_counted_by_address(api):
    answers = await asyncio.gather(*(api.get("/anonymous") for _ in range(4)))
    assert sorted(a.status_code for a in answers) == [200, 200, 200, 429]


async def test_each_request_leaves_one_line_with_its_id_and_no_secret(settings, capsys):
    talkative = settings.model_copy(update={"log_level": "info"})
    async with (
        started(create_app(lambda: wiring.build(talkative), routes=[auth.router, router])) as app,
        client_of(app) as client,
    ):
        account = {"email": "ada@example.com", "password": "hunter2 hunter2"}
        registered = await client.post("/api/v1/auth/register?secret=hunter2", json=account, headers={"X-Request-Id": "one"})
        headers = {"Authorization": f"Bearer {registered.json()['access_token']}", "X-Request-Id": "two"}
        await client.get("/mine", headers=headers)
        await client.get("/broken", headers={"X-Request-Id": "three"})
        await client.get("/livez")
    said = capsys.readouterr().err
    lines = [json.loads(line) for line in said.splitlines()]
    assert [(line["event"], line["request_id"]) for line in lines] == [
        ("request", "one"), ("request", "two"), ("request_failed", "three"), ("request", "three"),
    ]  # fmt: skip
    assert [line.get("status") for line in lines] == [201, 200, None, 500]
    assert lines[1]["user_id"].startswith("usr_")
    assert "ZeroDivisionError" in lines[2]["exception"]
    for secret in ("hunter2 hunter2", "secret=", headers["Authorization"]):
        assert secret not in said
