"""The Idempotency-Key header: same key, same answer.

    @router.post("", status_code=201, response_model=JobOut)
    async def submit(request: Request, body: JobIn, principal: JobsCaller, services: ServicesDep) -> Response:
        if replay := await replayed(request, principal, services, await request.body()):     # optional: saves the work before
            return replay
        resolved = await resolve_inputs(…)                    # what needs no transaction, and may be done twice
        async def act(tx: Transaction) -> JobOut:
            return job_out(await submit_job(tx, principal.user_id, resolved, …))
        return await idempotent(request, principal, services, await request.body(), act, status=201)

`act` writes in the transaction that also stores the answer, so the act and the memory of it are one: after a crash at any
moment both are there or neither is. Only successes are stored: when `act` raises, nothing was written and the key is free. After
a deadlock everything was rolled back, and `act` runs again: it does nothing but write. Without the header it just runs. A request whose key another one holds right now gets 409; the same key
with another method, path or body gets 422. Routes that show a secret once do not use this.

`body` is what makes two requests equal: the raw bytes, or a fingerprint of what was uploaded.
"""

import hashlib
from collections.abc import Awaitable, Callable

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel

from fabric.core.errors import IdempotencyMismatch, Malformed, RequestInProgress
from fabric.db.engine import Transaction
from fabric.identity import store
from fabric.identity.access import Principal
from fabric.wiring import Services

HEADER = "Idempotency-Key"
KEY_CHARACTERS_MAX = 255
JSON = "application/json"

Act = Callable[[Transaction], Awaitable[BaseModel | Response]]


async def idempotent(
    request: Request, principal: Principal, services: Services, body: bytes, act: Act, *, status: int = 200
) -> Response:
    """Do `act` once for its key, and answer the same for as long as the key is kept (at least 24 hours).

    Args:
        request: Its method, path and header count.
        principal: Keys of different users are different.
        services: Whose database.
        body: What must be equal for requests to be the same.
        act: Does it, and gives the body of the answer.
        status: Of the answer, when `act` gives no whole Response.

    Raises:
        RequestInProgress: the first request with this key is still running.
        IdempotencyMismatch: the key was used for something else.
        Malformed: the key is empty, too long or not printable ASCII.
    """
    key = key_of(request)
    body_hash = _body_hash(request, body)

    async def once(tx: Transaction) -> Response:
        if key is None:
            return rendered(await act(tx), status)
        if not await store.try_lock_idempotency_key(tx, principal.user_id, key):
            raise RequestInProgress
        stored = await store.find_answer(tx, principal.user_id, key)
        if stored is not None:
            return _replay(stored, body_hash)
        response = rendered(await act(tx), status)
        if 200 <= response.status_code < 300:
            answer = store.Answer(body_hash, response.status_code, bytes(response.body), response.media_type)
            await store.keep_answer(tx, principal.user_id, key, answer)
        return response

    return await services.database.retrying(once)


async def replayed(request: Request, principal: Principal, services: Services, body: bytes) -> Response | None:
    """The stored answer, if there is one; saves a repeated request the work that comes before `idempotent`.

    Raises:
        IdempotencyMismatch: the key was used for something else.
        Malformed: the key is empty, too long or not printable ASCII.
    """
    key = key_of(request)
    if key is None:
        return None
    async with services.database.reading() as reader:
        stored = await store.find_answer(reader, principal.user_id, key)
    return None if stored is None else _replay(stored, _body_hash(request, body))


def key_of(request: Request) -> str | None:
    """The request's key, if it has one.

    Raises:
        Malformed: it is empty, too long or not printable ASCII.
    """
    key = request.headers.get(HEADER)
    if key is not None and not (0 < len(key) <= KEY_CHARACTERS_MAX and key.isascii() and key.isprintable()):
        raise Malformed(f"{HEADER} is 1 to {KEY_CHARACTERS_MAX} printable ASCII characters.")
    return key


def rendered(answer: BaseModel | Response, status: int) -> Response:
    """The response that shows `answer`."""
    if isinstance(answer, Response):
        return answer
    return Response(answer.model_dump_json(), status_code=status, media_type=JSON)


def _replay(stored: store.Answer, body_hash: bytes) -> Response:
    if stored.body_hash != body_hash:
        raise IdempotencyMismatch
    headers = {"Idempotency-Replayed": "true"}
    return Response(stored.body, status_code=stored.status, media_type=stored.media_type, headers=headers)


def _body_hash(request: Request, body: bytes) -> bytes:
    target = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    return hashlib.sha256(target + hashlib.sha256(body).digest()).digest()
