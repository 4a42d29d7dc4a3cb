"""The object server of the disk store: `python -m fabric.storage.server --host HOST --port PORT`.

It serves signed URLs and nothing else: no listing, no key without a valid signature, one signature check before anything is
opened or read. It runs beside the API so that bulk bytes (sendfile) never wait for, or hold up, a request.
"""

import argparse
import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import ClientPayloadError, web

from fabric.core.errors import FabricError, Forbidden, Invalid, Malformed, RangeNotSatisfiable, TooLarge
from fabric.core.settings import load_settings
from fabric.storage import open_store
from fabric.storage.base import CHUNK_BYTES
from fabric.storage.local import LocalStore, OpenObject
from fabric.storage.signing import Grant

SMALL_BYTES_MAX = 256 * 1024  # read and sent in one piece; sendfile only pays above
IDLE_S = 60.0  # an upload that sends nothing for so long is given up
SHUTDOWN_S = 5.0
STORE: web.AppKey[LocalStore] = web.AppKey("store", LocalStore)
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})?")


def create_object_server(store: LocalStore) -> web.Application:
    """The server's aiohttp application."""
    app = web.Application()
    app[STORE] = store
    app.router.add_route("GET", "/livez", _livez)
    app.router.add_route("*", "/{key:.+}", _answering_errors, expect_handler=_expect)
    return app


async def _livez(_request: web.Request) -> web.Response:
    return web.Response(text="ok")


async def _expect(request: web.Request) -> web.StreamResponse | None:
    """RFC 9110 §10.1.1: an upload that will be refused is refused before its body is sent."""
    try:
        grant = _grant_of(request)
        _check_length(request, grant)
    except FabricError:
        return await _answering_errors(request)
    if request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return None


async def _answering_errors(request: web.Request) -> web.StreamResponse:
    try:
        return await _act_for(request.method)(request)
    except FabricError as error:
        headers = {"Retry-After": "1"} if error.retryable else {}
        body = {"title": error.code, "status": error.status, "code": error.code, "detail": error.detail}
        response = web.json_response(body, status=error.status, headers=headers, content_type="application/problem+json")
        if request.can_read_body:
            response.force_close()  # the rest of a refused upload is not worth reading
        return response


def _act_for(method: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    if method in {"GET", "HEAD"}:
        return _read
    if method == "PUT":
        return _write
    raise web.HTTPMethodNotAllowed(method, ["GET", "HEAD", "PUT"])


def _grant_of(request: web.Request) -> Grant:
    store: LocalStore = request.app[STORE]
    return store.signer.check(request.method, request.match_info["key"], request.query)


def _check_length(request: web.Request, grant: Grant) -> None:
    announced = request.content_length
    if grant.size_max is None or announced is None:
        return
    if announced > grant.size_max:
        raise TooLarge(f"{announced} bytes announced, {grant.size_max} allowed")
    if grant.exact and announced != grant.size_max:
        raise Invalid(f"{announced} bytes announced, this URL is for exactly {grant.size_max}")


async def _read(request: web.Request) -> web.StreamResponse:
    grant = _grant_of(request)
    byte_range = _range_of(request, grant)
    # Opening and small reads touch the page cache for microseconds, less than a switch to a thread costs.
    with request.app[STORE].open(grant.key) as present:
        offset, length = _extent(present, byte_range)
        status = 206 if byte_range else 200
        headers = {"Accept-Ranges": "bytes", "ETag": f'"{present.sha256.hex()}"', "Content-Type": "application/octet-stream"}
        if byte_range:
            headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{present.size}"
        if request.method == "HEAD":
            return web.Response(status=status, headers={**headers, "Content-Length": str(length)})
        if length <= SMALL_BYTES_MAX:
            return web.Response(status=status, headers=headers, body=present.read(offset, length))
        response = web.StreamResponse(status=status, headers={**headers, "Content-Length": str(length)})
        await response.prepare(request)
        if request.transport is None:
            raise ConnectionResetError("the reader has gone")
        await asyncio.get_running_loop().sendfile(request.transport, present.file, offset, length)
        await response.write_eof()
        return response


def _range_of(request: web.Request, grant: Grant) -> str:
    """The range to send, `first-last` or `first-`; a URL that is signed for a range serves exactly that range."""
    asked = str(request.headers.get("Range", ""))
    if grant.byte_range:
        if asked != f"bytes={grant.byte_range}":
            raise Forbidden(f"this URL is signed for 'Range: bytes={grant.byte_range}'")
        return grant.byte_range
    if not asked:
        return ""
    if not _RANGE.fullmatch(asked):
        raise RangeNotSatisfiable("only one range of the form bytes=first-last is served")
    return asked.removeprefix("bytes=")


def _extent(present: OpenObject, byte_range: str) -> tuple[int, int]:
    if not byte_range:
        return 0, present.size
    first, _, last = byte_range.partition("-")
    offset = int(first)
    length = present.length_of(offset, int(last) - offset + 1 if last else None)
    if length == 0:
        raise RangeNotSatisfiable
    return offset, length


async def _write(request: web.Request) -> web.StreamResponse:
    grant = _grant_of(request)
    _check_length(request, grant)
    assert grant.size_max is not None, "every signed PUT has a limit"
    facts = await request.app[STORE].receive(
        grant.key, _body_of(request), size_max=grant.size_max, size_exact=grant.size_max if grant.exact else None, replace=False
    )
    return web.Response(status=200, headers={"ETag": f'"{facts.sha256.hex()}"'})


async def _body_of(request: web.Request) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(IDLE_S):
                chunk = await request.content.read(CHUNK_BYTES)
        except TimeoutError:
            raise Malformed(f"nothing came for {IDLE_S:.0f} s") from None
        except (ConnectionError, ClientPayloadError):
            raise Malformed("the upload ended before it was complete") from None
        if not chunk:
            return
        yield chunk


def main() -> None:
    """Serve the objects of $FABRIC_HOME until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m fabric.storage.server", description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    store = open_store(load_settings())
    if not isinstance(store, LocalStore):
        raise SystemExit("The object server belongs to the disk store; FABRIC_STORAGE_URL names another.")
    store.sweep()
    web.run_app(
        create_object_server(store),
        host=options.host,
        port=options.port,
        access_log=None,
        shutdown_timeout=SHUTDOWN_S,
        print=None,
    )


if __name__ == "__main__":
    main()
