"""What strangers speak with: TLS, ended by a real HAProxy before Ray Serve and the object server."""

import hashlib
import json
import os
import signal
import socket
import ssl

import httpx
import pytest

from fabric.core.settings import load_settings
from fabric.local.tls import TlsChoice
from fabric.storage import open_store
from tests.fixtures.certificates import Authority
from tests.fixtures.trivial_fabric import eventually, fabrics

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def module_authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def issued(module_authority):
    return module_authority.issue("localhost")


@pytest.fixture(scope="module")
def encrypted(issued):
    """A running fabric behind a certificate of a real authority, for the name `localhost`."""
    with fabrics() as make:
        fabric, told = make(tls=TlsChoice(issued.certificate, issued.key))
        fabric.start()
        yield fabric, told


@pytest.fixture
def context(module_authority):
    return ssl.create_default_context(cafile=str(module_authority.ca_file))


@pytest.fixture
def http(encrypted, context):
    with httpx.Client(base_url=encrypted[0].url, verify=context, trust_env=False, timeout=30) as client:
        yield client


def connected(fabric, context):
    """A connection to the front, after the handshake."""
    plain = socket.create_connection(("localhost", fabric.assembly.ports.http), timeout=60)
    return context.wrap_socket(plain, server_hostname="localhost")


def from_address(address, verify):
    return httpx.HTTPTransport(local_address=address, verify=verify)


def shown_fingerprint(fabric, context):
    with connected(fabric, context) as one:
        return f"sha256:{hashlib.sha256(one.getpeercert(binary_form=True)).hexdigest()}"


def test_the_endpoint_proves_its_name_and_asks_browsers_to_insist_on_tls(encrypted, http):
    fabric, _ = encrypted
    assert fabric.url == f"https://localhost:{fabric.assembly.ports.http}"
    answer = http.get("/who")
    assert answer.json()["scheme"] == "https"
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    with pytest.raises(httpx.ConnectError, match=r"(?i)certificate verify failed"):
        httpx.get(f"{fabric.url}/who", trust_env=False, timeout=30)


@pytest.mark.parametrize(("version", "is_accepted"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
def test_old_versions_of_tls_are_refused(encrypted, context, version, is_accepted):
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    if not is_accepted:
        context.set_ciphers("ALL:@SECLEVEL=0")
    if is_accepted:
        with connected(encrypted[0], context) as one:
            assert one.version() == version.replace("_", ".")
    else:
        with pytest.raises(OSError, match=r"(?i)ssl|reset|eof"):
            connected(encrypted[0], context)


def test_http_2_is_spoken_with_those_who_can(encrypted, context):
    context.set_alpn_protocols(["h2", "http/1.1"])
    with connected(encrypted[0], context) as one:
        assert one.selected_alpn_protocol() == "h2"


def test_plaintext_on_the_port_is_led_to_https_and_a_credential_in_clear_is_called_one(encrypted):
    fabric, _ = encrypted
    plain = fabric.url.replace("https://", "http://")
    led = httpx.get(f"{plain}/who?x=1", trust_env=False, timeout=30)
    assert (led.status_code, led.headers["location"]) == (308, f"{fabric.url}/who?x=1")
    told = [
        httpx.get(f"{plain}/who", headers={"Authorization": "Bearer fab_x"}, trust_env=False, timeout=30),
        httpx.post(f"{plain}/who", json={}, trust_env=False, timeout=30),
    ]
    for answer in told:
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert "speaks HTTPS" in answer.json()["detail"]
        assert "strict-transport-security" not in answer.headers  # means nothing there, says RFC 6797


def test_who_calls_is_what_the_kernel_says_and_not_what_the_caller_says(encrypted, context):
    lies = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "http", "Forwarded": "for=6.6.6.6", "X-Real-IP": "6.6.6.6"}
    with httpx.Client(transport=from_address("127.0.0.9", context), timeout=30) as http:
        for headers in ({}, lies):
            assert http.get(f"{encrypted[0].url}/who", headers=headers).json() == {
                "address": "127.0.0.9", "scheme": "https", "forwarded": "None",
            }  # fmt: skip


def test_what_serve_tells_about_itself_stays_inside(encrypted, http):
    assert http.get("/-/routes").status_code == 404
    assert http.get("/-/healthz").status_code == 404


def test_signed_urls_of_the_disk_store_lead_through_the_same_port(encrypted, http):
    fabric, _ = encrypted
    store = open_store(load_settings(home=fabric.home.path))
    content = os.urandom(3_000_000)
    put = store.signed_put("inputs/x", size_max=len(content), exact=True)
    assert put.url.startswith(f"{fabric.url}/objects/inputs/x?")
    assert http.put(put.url, content=content).status_code == 200
    # A range, and nothing but that range
    part = store.signed_get("inputs/x", offset=1_000_000, length=500_000)
    answer = http.get(part.url, headers=part.headers)
    assert (answer.status_code, answer.content) == (206, content[1_000_000:1_500_000])
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "sandbox"
    assert http.get(part.url).status_code == 403
    whole = store.signed_get("inputs/x")
    assert http.get(whole.url).content == content
    assert http.get(whole.url.replace("inputs/x", "inputs/y")).status_code == 403


def test_an_event_is_passed_on_before_the_next_one_happens(encrypted, http):
    with http.stream("GET", "/two-events") as answer:
        lines = answer.iter_lines()
        assert [next(lines) for _ in range(3)] == ["id: 1", "data: first", ""]
        # The second event is not sent before the first was received: a front that buffers would wait here for ever.
        assert http.get("/release").status_code == 200
        assert list(lines) == ["id: 2", "data: second", ""]


def test_an_upload_is_passed_on_while_it_is_still_coming(encrypted, http, context):
    half = 4 * 1024 * 1024
    with connected(encrypted[0], context) as upload:
        upload.sendall(f"PUT /swallow HTTP/1.1\r\nHost: localhost\r\nContent-Length: {2 * half}\r\n\r\n".encode())
        upload.sendall(bytes(half))
        eventually(lambda: http.get("/swallowed").json()["bytes"] > half // 2, "the front kept the upload for itself")
        assert http.get("/swallowed").json()["bytes"] <= half
        upload.sendall(bytes(half))
        answer = body_of(upload)
    assert answer == {"bytes": 2 * half}


def body_of(connection):
    received = b""
    while b"}" not in received:
        received += connection.recv(65_536)
    return json.loads(received.partition(b"\r\n\r\n")[2])


def test_a_renewed_certificate_is_taken_over_and_nobody_is_cut_off(encrypted, http, context, module_authority, issued):
    fabric, told = encrypted
    before = shown_fingerprint(fabric, context)
    with http.stream("GET", "/two-events") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "id: 1"
        # A renewal that is half done, or is for somebody else, changes nothing and is told.
        issued.certificate.write_bytes(module_authority.issue("localhost").certificate.read_bytes())
        eventually(lambda: told.count_of("is not used"), "a certificate without its key was not told")
        assert shown_fingerprint(fabric, context) == before
        # When certificate and key are those of a new one
        issued.replace_by(renewed := module_authority.issue("localhost"))
        eventually(lambda: shown_fingerprint(fabric, context) == renewed.fingerprint, "the renewed certificate was not shown")
        eventually(lambda: told.count_of(f"took over the changed certificate, {renewed.fingerprint}"), "it was not told")
        # Then what was open before goes on, and after a crash the renewed one is shown again.
        assert http.get("/release").status_code == 200
        assert "data: second" in list(lines)
    os.kill(fabric.part("front").marks()[0].pid, signal.SIGKILL)
    eventually(lambda: told.count_of("front runs again"), "the front was not started again")
    assert shown_fingerprint(fabric, context) == renewed.fingerprint


@pytest.mark.chaos
def test_while_serve_is_away_callers_are_asked_to_come_back(encrypted, http):
    fabric, told = encrypted
    os.kill(fabric.part("ray-head").marks()[0].pid, signal.SIGKILL)
    seen = set()

    def back() -> bool:
        try:
            answer = http.get("/livez")
        except (httpx.TimeoutException, httpx.RemoteProtocolError):
            return False  # it hung or was cut off in what was dying; the next one tells
        seen.add((answer.status_code, answer.headers.get("retry-after")))
        return answer.status_code == 200 and told.count_of("serve runs again") > 0

    eventually(back, "the application was not deployed again")
    assert (503, "2") in seen
    assert seen <= {(200, None), (503, "2"), (502, "2")}
