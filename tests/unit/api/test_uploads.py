"""Bodies that are read piece by piece."""

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from fabric.api.uploads import PartStart, body_chunks, is_multipart, media_type_of, parts
from fabric.core.errors import Malformed, TooLarge, UnsupportedMedia

BOUNDARY = "frontier"
MULTIPART = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def request_of(pieces: list[bytes], headers: dict[str, str], *, hangs_up: bool = False) -> Request:
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.disconnect"} if hangs_up else {"type": "http.request", "body": b"", "more_body": False})
    waiting = iter(messages)

    async def receive() -> dict:
        return next(waiting)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive)


def body_of(files: list[tuple[str, bytes]]) -> bytes:
    return b"".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: image/png\r\n\r\n'.encode()
        + content + b"\r\n" for name, content in files
    ) + f"--{BOUNDARY}--\r\n".encode()  # fmt: skip


async def read(request: Request, parts_max: int = 10) -> list[tuple[PartStart, bytes]]:
    found: list[tuple[PartStart, bytes]] = []
    async for item in parts(request, parts_max=parts_max):
        if isinstance(item, PartStart):
            found.append((item, b""))
        else:
            found[-1] = (found[-1][0], found[-1][1] + item)
    return found


@given(
    st.lists(st.tuples(st.sampled_from(["a.png", "ä.png", "b c.png"]), st.binary(max_size=80)), min_size=1, max_size=5),
    st.integers(1, 40),
)
async def test_parts_are_the_same_however_the_body_is_cut(files: list[tuple[str, bytes]], size: int):
    body = body_of(files)
    request = request_of([body[start : start + size] for start in range(0, len(body), size)], MULTIPART)
    assert await read(request) == [(PartStart("file", name, "image/png"), content) for name, content in files]


async def test_a_plain_field_has_no_filename():
    body = b'--frontier\r\nContent-Disposition: form-data; name="card"\r\n\r\n{}\r\n--frontier--\r\n'
    assert await read(request_of([body], MULTIPART)) == [(PartStart("card", None, "application/octet-stream"), b"{}")]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (body_of([("a", b"1")])[:-8], MULTIPART),
        (b"", MULTIPART),
        (b"no boundary in here", MULTIPART),
        (body_of([("a", b"1")]), {"content-type": "multipart/form-data"}),
        (body_of([("a", b"1")]), {"content-type": "multipart/form-data; boundary=" + "x" * 300}),
        (b"--frontier\r\nContent-Type: text/plain\r\n\r\nx\r\n--frontier--\r\n", MULTIPART),
        (b"--frontier\r\n" + b"A: b\r\n" * 100 + b"\r\nx\r\n--frontier--\r\n", MULTIPART),
        (b"--frontier\r\nA: " + b"b" * 10_000 + b"\r\n\r\nx\r\n--frontier--\r\n", MULTIPART),
    ],
)
async def test_a_body_that_is_no_multipart_body_is_malformed(body: bytes, headers: dict[str, str]):
    with pytest.raises(Malformed):
        await read(request_of([body], headers))


async def test_too_many_parts_are_refused():
    with pytest.raises(TooLarge):
        await read(request_of([body_of([("a", b""), ("b", b"")])], MULTIPART), parts_max=1)


async def test_a_caller_who_hangs_up_is_told_apart_from_an_end():
    with pytest.raises(Malformed):
        [chunk async for chunk in body_chunks(request_of([b"half"], {}, hangs_up=True))]


async def test_compressed_uploads_are_refused():
    with pytest.raises(UnsupportedMedia):
        [chunk async for chunk in body_chunks(request_of([b"x"], {"content-encoding": "gzip"}))]


@pytest.mark.parametrize(
    ("header", "expected"),
    [("image/PNG; charset=x", "image/png"), (None, "application/octet-stream"), ("text/html\r\nX: y", "application/octet-stream"),
     ("nonsense", "application/octet-stream"), ("a/" + "b" * 100, "application/octet-stream")],
)  # fmt: skip
def test_only_decent_media_types_are_kept(header: str | None, expected: str):
    assert media_type_of(header) == expected


def test_multipart_is_recognised():
    assert is_multipart(request_of([], {"content-type": "Multipart/Form-Data; boundary=x"}))
    assert not is_multipart(request_of([], {"content-type": "application/octet-stream"}))
