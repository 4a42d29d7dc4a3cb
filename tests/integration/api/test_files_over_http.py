"""/api/v1/files over HTTP."""

import hashlib
from collections.abc import AsyncIterator

import httpx
import pytest

from fabric.core.settings import Settings
from tests.fixtures.api import Person

FILES = "/api/v1/files"
CONTENT = bytes(range(256)) * 8


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(
        update={"limits": settings.limits.model_copy(update={"upload_bytes_max": 100_000, "files_per_upload_max": 4})}
    )


async def upload(api: httpx.AsyncClient, person: Person, *files: tuple[str, bytes, str], **headers: str) -> httpx.Response:
    parts = [("file", file) for file in files]
    return await api.post(FILES, files=parts, headers={**person.headers, **headers})


@pytest.fixture
async def file_id(api: httpx.AsyncClient, alice: Person) -> str:
    answer = await upload(api, alice, ("first.bin", b"before", "a/b"), ("ä picture.png", CONTENT, "image/png"))
    return answer.json()["data"][1]["id"]


async def test_a_multipart_upload_shows_its_files_in_order(api, alice):
    answer = await upload(api, alice, ("a.png", b"1", "image/png"), ("b.npy", b"22", "application/x-npy"), ("c", b"", "nonsense"))
    assert answer.status_code == 201
    files = answer.json()["data"]
    assert [(f["name"], f["media_type"], f["size"], f["status"]) for f in files] == [
        ("a.png", "image/png", 1, "ready"), ("b.npy", "application/x-npy", 2, "ready"), ("c", "application/octet-stream", 0, "ready")
    ]  # fmt: skip
    assert files[1]["sha256"] == hashlib.sha256(b"22").hexdigest()
    assert (await api.get(f"{FILES}/{files[0]['id']}", headers=alice.headers)).json() == files[0]


async def test_a_raw_upload_is_one_file(api, alice):
    answer = await api.post(
        FILES, params={"name": "x.npy"}, content=b"raw", headers={**alice.headers, "Content-Type": "application/x-npy"}
    )
    (file,) = answer.json()["data"]
    assert (file["name"], file["media_type"], file["size"]) == ("x.npy", "application/x-npy", 3)
    content = await api.get(f"{FILES}/{file['id']}/content", headers=alice.headers)
    assert (content.content, content.headers["Content-Type"]) == (b"raw", "application/x-npy")


async def test_the_content_comes_back_and_is_never_run_by_a_browser(api, alice, file_id):
    answer = await api.get(f"{FILES}/{file_id}/content", headers=alice.headers)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["ETag"] == f'"{hashlib.sha256(CONTENT).hexdigest()}"'
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"].startswith("nosniff")
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''%C3%A4%20picture.png"


async def test_a_range_is_honoured(api, alice, file_id):
    for asked, start, end in (
        ("bytes=0-0", 0, 1), ("bytes=10-19", 10, 20), ("bytes=2000-", 2000, 2048),
        ("bytes=-5", 2043, 2048), ("bytes=2040-9999", 2040, 2048), ("bytes=-9999", 0, 2048),
    ):  # fmt: skip
        answer = await api.get(f"{FILES}/{file_id}/content", headers={**alice.headers, "Range": asked})
        assert (answer.status_code, answer.content) == (206, CONTENT[start:end]), asked
        assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/2048"


async def test_a_range_outside_the_file_is_416(api, alice, file_id):
    for asked in ("bytes=2048-", "bytes=5000-6000", "bytes=-0"):
        answer = await api.get(f"{FILES}/{file_id}/content", headers={**alice.headers, "Range": asked})
        assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable"), asked


async def test_a_range_that_cannot_be_honoured_is_ignored(api, alice, file_id):
    for asked in ("bytes=0-1,5-6", "lines=1-2", "bytes=9-2", "bytes=-"):
        answer = await api.get(f"{FILES}/{file_id}/content", headers={**alice.headers, "Range": asked})
        assert (answer.status_code, answer.content) == (200, CONTENT), asked


async def test_head_says_what_get_would_say_without_the_bytes(api, alice, file_id):
    got = await api.get(f"{FILES}/{file_id}/content", headers={**alice.headers, "Range": "bytes=0-9"})
    head = await api.head(f"{FILES}/{file_id}/content", headers={**alice.headers, "Range": "bytes=0-9"})
    assert (head.status_code, head.content) == (206, b"")
    for name in ("ETag", "Content-Length", "Content-Range", "Content-Type"):
        assert head.headers[name] == got.headers[name]


async def test_a_known_etag_saves_the_download(api, alice, file_id):
    etag = (await api.head(f"{FILES}/{file_id}/content", headers=alice.headers)).headers["ETag"]
    for known in (etag, f'"other", W/{etag}', "*"):
        answer = await api.get(f"{FILES}/{file_id}/content", headers={**alice.headers, "If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
    assert (await api.get(f"{FILES}/{file_id}/content", headers={**alice.headers, "If-None-Match": '"other"'})).status_code == 200


async def test_a_range_of_another_version_gives_the_whole_file(api, alice, file_id):
    headers = {**alice.headers, "Range": "bytes=0-1", "If-Range": '"other"'}
    assert (await api.get(f"{FILES}/{file_id}/content", headers=headers)).status_code == 200


async def test_foreign_files_are_not_found(api, alice, bob, file_id):
    for method, path in (("GET", ""), ("GET", "/content"), ("HEAD", "/content"), ("DELETE", "")):
        answer = await api.request(method, f"{FILES}/{file_id}{path}", headers=bob.headers)
        assert answer.status_code == 404
    assert (await api.post(f"{FILES}/{file_id}/complete", headers=bob.headers)).status_code == 404
    assert (await api.get(FILES, headers=bob.headers)).json() == {"data": [], "next_cursor": None}
    assert (await api.get(f"{FILES}/{file_id}", headers=alice.headers)).status_code == 200


async def test_an_id_that_is_none_is_not_found(api, alice):
    for file_id in ("file_1", "job_00000000000000000000000000", "..", "file_zzzzzzzzzzzzzzzzzzzzzzzzzz"):
        answer = await api.get(f"{FILES}/{file_id}/content", headers=alice.headers)
        assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json"), file_id


async def test_a_deleted_file_is_gone(api, alice, file_id):
    assert (await api.delete(f"{FILES}/{file_id}", headers=alice.headers)).status_code == 204
    assert (await api.get(f"{FILES}/{file_id}/content", headers=alice.headers)).status_code == 404
    assert (await api.delete(f"{FILES}/{file_id}", headers=alice.headers)).status_code == 404


async def test_lists_are_pages(api, alice):
    await upload(api, alice, *[(f"{n}", b"x", "a/b") for n in range(3)])
    first = (await api.get(FILES, params={"limit": 2}, headers=alice.headers)).json()
    rest = (await api.get(FILES, params={"limit": 2, "cursor": first["next_cursor"]}, headers=alice.headers)).json()
    ids = [file["id"] for file in first["data"] + rest["data"]]
    assert (len(ids), rest["next_cursor"]) == (3, None)
    assert ids == sorted(ids, reverse=True)


async def test_an_upload_over_the_limit_is_refused_before_it_is_read(api, alice):
    async def never_read() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    headers = {**alice.headers, "Content-Length": str(50_000_000), "Content-Type": "application/octet-stream"}
    answer = await api.post(FILES, content=never_read(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize("multipart", [True, False])
async def test_an_upload_that_grows_over_the_limit_is_refused_and_leaves_nothing(api, alice, settings, multipart: bool):
    large = b"x" * 100_001
    if multipart:
        answer = await upload(api, alice, ("large", large, "a/b"))
    else:
        answer = await api.post(FILES, content=large, headers={**alice.headers, "Content-Type": "a/b"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert not [path for path in settings.objects_path.rglob("*") if path.is_file()]


async def test_too_many_files_in_one_upload_are_refused(api, alice):
    assert (await upload(api, alice, *[("a", b"", "a/b")] * 5)).status_code == 413


async def test_a_body_that_is_no_upload_is_malformed(api, alice):
    headers = {**alice.headers, "Content-Type": "multipart/form-data; boundary=x"}
    for content in (b"", b"--x\r\nrubbish", b'--x\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n--x--\r\n'):
        answer = await api.post(FILES, content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


async def test_the_same_upload_again_gives_the_same_answer(api, alice):
    first = await upload(api, alice, ("a", b"1", "a/b"), **{"Idempotency-Key": "k"})
    again = await upload(api, alice, ("a", b"1", "a/b"), **{"Idempotency-Key": "k"})
    other = await upload(api, alice, ("a", b"2", "a/b"), **{"Idempotency-Key": "k"})
    assert first.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert len((await api.get(FILES, headers=alice.headers)).json()["data"]) == 1


async def test_a_signed_upload_is_announced_and_waits(api, alice):
    begun = await api.post(f"{FILES}/uploads", json={"name": "big.npy", "size": 4}, headers=alice.headers)
    assert begun.status_code == 201
    file = begun.json()
    assert (file["status"], file["sha256"], file["upload"]["method"], file["upload"]["headers"]) == ("pending", None, "PUT", {})
    assert file["upload"]["url"].startswith("http://127.0.0.1:9/files/")
    for answer in (
        await api.post(f"{FILES}/{file['id']}/complete", headers=alice.headers),
        await api.get(f"{FILES}/{file['id']}/content", headers=alice.headers),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


async def test_a_signed_upload_that_cannot_be_is_refused(api, alice):
    for body, status in (
        ({"name": "a", "size": 100_001}, 413), ({"name": "a", "size": -1}, 422), ({"name": "", "size": 1}, 422), ({"name": "a"}, 422),
    ):  # fmt: skip
        assert (await api.post(f"{FILES}/uploads", json=body, headers=alice.headers)).status_code == status, body


async def test_nobody_uploads_without_a_credential(api):
    assert (await api.post(FILES, content=b"x")).status_code == 401
