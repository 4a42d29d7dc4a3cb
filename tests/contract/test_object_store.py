"""The promises of storage/base.py, kept by every store."""

import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from fabric.core import clock
from fabric.core.errors import NotFound, RangeNotSatisfiable, StorageUnavailable, TooLarge
from fabric.storage.base import ObjectStore
from fabric.storage.local import LocalStore
from fabric.storage.s3 import S3Store
from fabric.storage.signing import Grant

KEY = "files/ab/0123456789abcdef"
CONTENT = bytes(range(256)) * 5000  # 1.28 MB: more than one chunk, more than is sent in one piece


async def chunks(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


async def test_promise_1_what_was_put_is_read_back(object_store: ObjectStore):
    facts = await object_store.put(KEY, chunks(CONTENT[:7], b"", CONTENT[7:]), size_max=len(CONTENT))
    assert await object_store.read(KEY) == CONTENT
    assert (facts.size, facts.sha256) == (len(CONTENT), hashlib.sha256(CONTENT).digest())


async def test_promise_1_a_second_put_replaces_the_whole_object(object_store: ObjectStore):
    await object_store.put_bytes(KEY, CONTENT)
    await object_store.put_bytes(KEY, b"short")
    assert await object_store.read(KEY) == b"short"


async def test_promise_1_a_put_that_breaks_off_leaves_the_old_object(object_store: ObjectStore):
    async def broken() -> AsyncIterator[bytes]:
        yield CONTENT
        raise ConnectionResetError

    await object_store.put_bytes(KEY, b"old")
    with pytest.raises(ConnectionResetError):
        await object_store.put(KEY, broken(), size_max=10**9)
    assert await object_store.read(KEY) == b"old"


async def test_promise_1_too_large_a_put_leaves_nothing(object_store: ObjectStore):
    with pytest.raises(TooLarge):
        await object_store.put(KEY, chunks(b"four", b"more"), size_max=7)
    with pytest.raises(NotFound):
        await object_store.describe(KEY)


async def test_promise_2_an_absent_key_is_not_found_and_deleting_it_is_nothing(object_store: ObjectStore, http):
    for act in (object_store.read(KEY), object_store.read(KEY, 1, 2), object_store.describe(KEY)):
        with pytest.raises(NotFound):
            await act
    with pytest.raises(NotFound):
        await anext(object_store.stream(KEY))
    assert (await http.get(object_store.signed_get(KEY).url)).status_code == 404
    await object_store.delete(KEY)


async def test_promise_2_a_deleted_object_is_gone(object_store: ObjectStore):
    await object_store.put_bytes(KEY, CONTENT)
    await object_store.delete(KEY)
    with pytest.raises(NotFound):
        await object_store.read(KEY)


@pytest.mark.parametrize("key", ["../secrets/key", "/etc/passwd", "files/..", "files//a", "A", "", "files/.incoming", "a" * 256])
async def test_promise_2_a_misspelt_key_is_never_looked_up(object_store: ObjectStore, key: str):
    with pytest.raises(NotFound):
        await object_store.read(key)
    with pytest.raises(NotFound):
        object_store.signed_get(key)


@pytest.mark.parametrize(
    ("offset", "length"), [(0, None), (0, 1), (255, 2), (1_000_000, 280_000), (1_279_999, 1), (1_280_000, None), (5, 0)]
)
async def test_promise_3_a_range_is_exactly_its_bytes(object_store: ObjectStore, offset: int, length: int | None):
    await object_store.put_bytes(KEY, CONTENT)
    expected = CONTENT[offset:] if length is None else CONTENT[offset : offset + length]
    assert await object_store.read(KEY, offset, length) == expected
    assert b"".join([chunk async for chunk in object_store.stream(KEY, offset, length)]) == expected


@pytest.mark.parametrize(("offset", "length"), [(1_279_999, 2), (1_280_001, None), (-1, 2), (0, 1_280_001)])
async def test_promise_3_a_range_outside_is_refused(object_store: ObjectStore, offset: int, length: int | None):
    await object_store.put_bytes(KEY, CONTENT)
    with pytest.raises(RangeNotSatisfiable):
        await object_store.read(KEY, offset, length)


async def test_promise_4_a_signed_url_reads_the_whole_object_or_any_part(object_store: ObjectStore, http):
    await object_store.put_bytes(KEY, CONTENT)
    signed = object_store.signed_get(KEY)
    assert signed.headers == {}
    assert (await http.get(signed.url)).content == CONTENT
    part = await http.get(signed.url, headers={"Range": "bytes=10-1000009"})
    assert (part.status_code, part.content) == (206, CONTENT[10:1_000_010])


async def test_promise_4_a_url_signed_for_a_range_reads_that_range(object_store: ObjectStore, http):
    await object_store.put_bytes(KEY, CONTENT)
    for offset, length in ((0, 10), (10, 1_000_000), (1_279_999, 1)):
        signed = object_store.signed_get(KEY, offset=offset, length=length)
        assert signed.headers == {"Range": f"bytes={offset}-{offset + length - 1}"}
        answer = await http.get(signed.url, headers=signed.headers)
        assert (answer.status_code, answer.content) == (206, CONTENT[offset : offset + length])
        assert answer.headers["Content-Range"] == f"bytes {offset}-{offset + length - 1}/{len(CONTENT)}"


async def test_promise_4_a_plain_put_without_any_header_is_enough(object_store: ObjectStore, http):
    signed = object_store.signed_put(KEY, size_max=len(CONTENT))
    assert signed.headers == {}
    answer = await http.put(signed.url, content=CONTENT)
    assert answer.status_code == 200
    assert await object_store.read(KEY) == CONTENT


async def test_promise_6_describe_hashes_what_came_by_signed_url(object_store: ObjectStore, http):
    await http.put(object_store.signed_put(KEY, size_max=10**9).url, content=CONTENT)
    facts = await object_store.describe(KEY)
    assert (facts.size, facts.sha256) == (len(CONTENT), hashlib.sha256(CONTENT).digest())


async def test_promise_6_an_empty_object_is_an_object(object_store: ObjectStore):
    await object_store.put_bytes(KEY, b"")
    assert await object_store.read(KEY) == b""
    assert await object_store.describe(KEY) == await object_store.put(KEY, chunks(), size_max=0)


async def test_a_store_that_works_says_so(object_store: ObjectStore):
    await object_store.check()


async def test_promise_7_a_disk_that_fails_is_storage_unavailable(tmp_path):
    (tmp_path / "objects").write_text("a file where the folder should be")
    store = LocalStore(tmp_path / "objects", public_url="http://127.0.0.1:1", signing_key="s" * 43)
    for act in (store.check(), store.put_bytes(KEY, b"1")):
        with pytest.raises(StorageUnavailable):
            await act


async def test_promise_7_an_s3_that_cannot_be_reached_is_storage_unavailable(s3_store: S3Store, s3_endpoint: str):
    with pytest.raises(StorageUnavailable):
        await S3Store("s3://no-such-bucket", endpoint_url=s3_endpoint).check()
    with pytest.raises(StorageUnavailable):
        await S3Store("s3://bucket", endpoint_url="http://127.0.0.1:1").check()


# Promises 4 and 5, refusals: the S3 server of these tests does not check signatures, so there the test looks at what is signed.


@pytest.mark.parametrize(
    ("change", "replacement"),
    [
        ("ab/", "ac/"),
        ("r=3-9", "r=3-10"),
        ("r=3-9", "r=0-1279999"),
        ("e=", "e=1"),
        ("s=", "s=A"),
        ("r=3-9&", ""),
        ("r=3-9&", "r=3-9&x=1&"),
    ],
)
async def test_promise_4_nothing_of_a_signed_url_can_be_changed(disk_store: LocalStore, http, change: str, replacement: str):
    await disk_store.put_bytes(KEY, CONTENT)
    await disk_store.put_bytes(KEY.replace("ab/", "ac/"), CONTENT)
    signed = disk_store.signed_get(KEY, offset=3, length=7)
    assert change in signed.url
    answer = await http.get(signed.url.replace(change, replacement), headers=signed.headers)
    assert answer.status_code == 403
    assert answer.headers["Content-Type"].startswith("application/problem+json")


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=3-8"}, {"Range": "bytes=0-9"}, {"Range": "bytes=3-"}])
async def test_promise_4_another_range_than_the_signed_one_is_refused(disk_store: LocalStore, http, headers: dict[str, str]):
    await disk_store.put_bytes(KEY, CONTENT)
    assert (await http.get(disk_store.signed_get(KEY, offset=3, length=7).url, headers=headers)).status_code == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PATCH"])
async def test_promise_4_a_url_for_reading_does_nothing_else(disk_store: LocalStore, http, method: str):
    await disk_store.put_bytes(KEY, CONTENT)
    answer = await http.request(method, disk_store.signed_get(KEY).url, content=b"x")
    assert answer.status_code == (403 if method == "PUT" else 405)
    assert await disk_store.read(KEY) == CONTENT


async def test_promise_4_a_url_for_writing_does_not_read(disk_store: LocalStore, http):
    await disk_store.put_bytes(KEY, CONTENT)
    assert (await http.get(disk_store.signed_put(KEY, size_max=10).url)).status_code == 403


async def test_promise_4_head_says_size_and_hash_without_the_bytes(disk_store: LocalStore, http):
    await disk_store.put_bytes(KEY, CONTENT)
    answer = await http.head(disk_store.signed_get(KEY).url)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.headers["ETag"] == f'"{hashlib.sha256(CONTENT).hexdigest()}"'


async def test_promise_4_a_signed_url_expires(disk_store: LocalStore, http):
    await disk_store.put_bytes(KEY, CONTENT)
    signed = disk_store.signed_get(KEY, expires_s=60)
    with clock.frozen(clock.now() + timedelta(seconds=59)):
        assert (await http.get(signed.url)).status_code == 200
    with clock.frozen(clock.now() + timedelta(seconds=61)):
        assert (await http.get(signed.url)).status_code == 403


async def test_promise_5_an_upload_that_announces_too_much_is_refused(disk_store: LocalStore, http):
    answer = await http.put(disk_store.signed_put(KEY, size_max=len(CONTENT) - 1).url, content=CONTENT)
    assert answer.status_code == 413
    with pytest.raises(NotFound):
        await disk_store.describe(KEY)


async def test_promise_5_an_upload_that_grows_too_large_is_refused(disk_store: LocalStore, http):
    answer = await http.put(disk_store.signed_put(KEY, size_max=5).url, content=chunks(b"four", b"more"))
    assert answer.status_code == 413
    assert not [path for path in disk_store.root.rglob("*") if path.is_file()]


async def test_promise_5_an_exact_upload_takes_no_other_length(disk_store: LocalStore, http):
    signed = disk_store.signed_put(KEY, size_max=5, exact=True)
    assert (await http.put(signed.url, content=b"four")).status_code == 422
    assert (await http.put(signed.url, content=chunks(b"four"))).status_code == 422
    assert (await http.put(signed.url, content=b"fives")).status_code == 200


async def test_a_signed_upload_happens_once_but_may_be_repeated(disk_store: LocalStore, http):
    signed = disk_store.signed_put(KEY, size_max=100)
    assert (await http.put(signed.url, content=b"result")).status_code == 200
    assert (await http.put(signed.url, content=b"result")).status_code == 200
    assert (await http.put(signed.url, content=b"another")).status_code == 409
    assert await disk_store.read(KEY) == b"result"


@pytest.mark.parametrize("path", ["", "files", "..%2f..%2fetc%2fpasswd", "files/%2e%2e/x", ".incoming", KEY])
async def test_nothing_is_served_without_a_signature(disk_store: LocalStore, http, path: str):
    await disk_store.put_bytes(KEY, CONTENT)
    base = disk_store.signed_get(KEY).url.split("/files/")[0]
    assert (await http.get(f"{base}/{path}")).status_code in {403, 404}


async def test_a_key_that_leaves_the_folder_is_refused_even_with_a_good_signature(disk_store: LocalStore, http):
    (disk_store.root.parent / "secret").write_text("classified")
    grant = Grant("GET", "../secret", 2**33)
    base = disk_store.signed_get(KEY).url.split("/files/")[0]
    answer = await http.get(f"{base}/%2e%2e%2fsecret?{disk_store.signer.query(grant)}")
    assert answer.status_code in {403, 404}
    assert "classified" not in answer.text


async def test_many_requests_share_one_connection(disk_store: LocalStore, http):
    await disk_store.put_bytes(KEY, CONTENT)
    for _ in range(3):
        assert (await http.get(disk_store.signed_get(KEY).url)).headers.get("Connection", "keep-alive") == "keep-alive"


async def test_uploads_that_a_crash_left_are_swept_after_a_day(disk_store: LocalStore):
    await disk_store.check()
    (disk_store.root / ".incoming" / "left").write_bytes(b"half")
    assert disk_store.sweep() == 0
    with clock.frozen(clock.now() + timedelta(days=1, minutes=1)):
        assert disk_store.sweep() == 1
    assert not list((disk_store.root / ".incoming").iterdir())


async def test_a_damaged_object_is_never_served(disk_store: LocalStore):
    await disk_store.put_bytes(KEY, CONTENT)
    path = disk_store.root / KEY
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StorageUnavailable):
        await disk_store.read(KEY)


async def test_s3_signs_the_range_of_a_read_and_the_length_of_an_exact_upload(s3_store: S3Store):
    def signed_headers(url: str) -> str:
        return parse_qs(urlsplit(url).query)["X-Amz-SignedHeaders"][0]

    assert signed_headers(s3_store.signed_get(KEY, offset=3, length=7).url) == "host;range"
    assert signed_headers(s3_store.signed_get(KEY).url) == "host"
    assert signed_headers(s3_store.signed_put(KEY, size_max=7).url) == "host"
    assert signed_headers(s3_store.signed_put(KEY, size_max=7, exact=True).url) == "content-length;host"
    assert parse_qs(urlsplit(s3_store.signed_get(KEY, expires_s=77).url).query)["X-Amz-Expires"] == ["77"]


async def test_s3_keeps_its_objects_under_the_prefix(s3_store: S3Store):
    assert f"/some/prefix/{KEY}?" in s3_store.signed_get(KEY).url
