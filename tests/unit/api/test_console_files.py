"""The console's built files over HTTP: caching, compression, security headers, and words when nothing is built."""

import gzip
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from fabric.api.routes import console
from fabric.core.errors import NotFound

SCRIPT = b"console.log(1);" * 40


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder as `npm run build` leaves it."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>Fabric</title>")
    (tmp_path / "assets" / "index-a1b2c3.js").write_bytes(SCRIPT)
    (tmp_path / "assets" / "index-a1b2c3.js.gz").write_bytes(gzip.compress(SCRIPT))
    return tmp_path


def got(folder: Path, path: str, **headers: str):
    return console.answer(console.assets(folder), path, {name.replace("_", "-"): value for name, value in headers.items()})


def test_what_has_a_hash_in_its_name_is_kept_for_ever_and_the_index_is_asked_for_again(built):
    script, index = got(built, "assets/index-a1b2c3.js"), got(built, "index.html")
    assert "immutable" in script.headers["cache-control"]
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert index.headers["cache-control"] == "no-cache"
    assert got(built, "", if_none_match=index.headers["etag"]).status_code == 304


@pytest.mark.parametrize(
    "accepted, encoding", [("gzip, br", "gzip"), ("br;q=1.0, GZIP", "gzip"), ("gzip;q=0", None), ("", None), ("br", None)]
)
def test_the_compressed_body_is_sent_where_it_is_taken_and_exists(built, accepted, encoding):
    response = got(built, "assets/index-a1b2c3.js", accept_encoding=accepted)
    assert response.headers.get("content-encoding") == encoding
    assert (gzip.decompress(response.body) if encoding else response.body) == SCRIPT
    assert response.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("path", ["", "jobs", "jobs/job_01", "../../../etc/passwd", "index.html"])
def test_every_page_of_the_console_is_its_index_and_nothing_outside_can_be_read(built, path):
    assert b"<title>Fabric</title>" in got(built, path).body


def test_a_file_of_an_older_build_is_not_found_and_no_page(built):
    with pytest.raises(NotFound):
        got(built, "assets/index-old.js")


def test_letters_are_sent_as_what_they_are_wherever_it_runs(built):
    (built / "assets" / "inter-a1b2c3.woff2").write_bytes(b"wOF2")
    response = got(built, "assets/inter-a1b2c3.woff2", accept_encoding="br, gzip")
    assert response.headers["content-type"] == "font/woff2"
    assert "immutable" in response.headers["cache-control"]


def test_no_page_may_frame_it_run_inline_scripts_or_ask_another_host(built):
    headers = got(built, "").headers
    policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert (policy["default-src"], policy["script-src"], policy["frame-ancestors"]) == ("'none'", "'self'", "'none'")
    assert "unsafe" not in headers["content-security-policy"] and "*" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_a_console_that_is_not_built_says_how_to_build_it(tmp_path):
    response = got(tmp_path, "")
    assert response.status_code == 503
    assert b"make setup" in response.body


def test_a_new_build_is_served_without_a_restart(built):
    assert got(built, "").body == b"<!doctype html><title>Fabric</title>"
    (built / "index.html").write_text("<!doctype html><title>Newer</title>")
    assert got(built, "").body == b"<!doctype html><title>Newer</title>"


async def test_the_root_leads_to_the_console():
    app = FastAPI()
    app.include_router(console.router)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://fabric") as browser:
        for path in ("/", "/console"):
            response = await browser.get(path)
            assert (response.status_code, response.headers["location"]) == (307, "/console/")
