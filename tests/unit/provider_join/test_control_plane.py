"""How the agent reads the fabric's answers; a real socket answers what the test prepares."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from provider_join.api import ControlPlane, Refused, Unreachable
from provider_join.config import EXIT_REFUSED, EXIT_VERSIONS, Credential, Home, Stop
from provider_join.status import options_of, reasons
from tests.fixtures.ray_head import free_port

ME = Credential("prv_1", "fpc_secret")


class Answers(ThreadingHTTPServer):
    """Answers every POST with what is prepared, and remembers what was asked."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.answer: tuple[int, bytes] = (200, b"{}")
        self.asked: list[tuple[str, str | None, dict]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Answers

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, self.headers.get("Authorization"), body))
        status, content = self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Authorization"), {}))
        status, content = self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def answers() -> Iterator[Answers]:
    server = Answers()
    yield server
    server.shutdown()
    server.server_close()


def test_a_heartbeat_shows_the_machines_own_credential(answers):
    answers.answer = (200, b'{"desired": "run"}')
    assert ControlPlane(answers.url).heartbeat(ME, {"state": "running"}) == {"desired": "run"}
    assert answers.asked == [("/api/v1/providers/prv_1/heartbeat", "Bearer fpc_secret", {"state": "running"})]


@pytest.mark.parametrize("status", [401, 403, 410])
def test_a_refusal_is_final(answers, status):
    answers.answer = (status, b'{"detail": "revoked"}')
    with pytest.raises(Refused, match="revoked"):
        ControlPlane(answers.url).heartbeat(ME, {})


@pytest.mark.parametrize(
    "answer", [(500, b""), (502, b"<html>"), (503, b'{"detail": "later"}'), (429, b"{}"), (404, b""), (200, b"hello")]
)
def test_what_may_pass_is_tried_again(answers, answer):
    answers.answer = answer
    with pytest.raises(Unreachable):
        ControlPlane(answers.url).session(ME, {})


def test_nobody_there_is_unreachable():
    with pytest.raises(Unreachable):
        ControlPlane(f"http://127.0.0.1:{free_port()}").drain(ME)


def test_wrong_versions_say_what_to_install(answers):
    wanted = {"fabric_version": "0.1.0", "ray_version": "2.60.0", "python_version": "3.11.9"}
    answers.answer = (409, json.dumps({"detail": "no fit", "wanted": wanted}).encode())
    with pytest.raises(Stop, match=r"ray==2\.60\.0") as stop:
        ControlPlane(answers.url).enroll("fjt_1", {"name": "x"})
    assert stop.value.code == EXIT_VERSIONS
    assert answers.asked[0] == ("/api/v1/providers/enroll", None, {"name": "x", "token": "fjt_1"})


def test_a_report_that_is_wrong_ends_the_agent_with_the_reason(answers):
    answers.answer = (422, b'{"detail": "slots.0.threads: between 1 and 1024"}')
    with pytest.raises(Stop, match=r"slots\.0\.threads"):
        ControlPlane(answers.url).session(ME, {})


def test_what_the_fabric_says_of_a_machine_is_asked_with_its_own_credential(answers):
    answers.answer = (200, b'{"today": {"usd": "0.1"}}')
    assert ControlPlane(answers.url).look(ME, "earnings") == {"today": {"usd": "0.1"}}
    assert answers.asked == [("/api/v1/providers/prv_1/earnings", "Bearer fpc_secret", {})]
    answers.answer = (401, b'{"detail": "removed"}')
    with pytest.raises(Refused, match="removed"):
        ControlPlane(answers.url).look(ME, "reasons")


def test_why_says_so_where_a_fabric_does_not_tell(answers, tmp_path):
    # Given a machine that has joined, whose agent does not run
    home = Home(tmp_path)
    home.keep(ME)
    home.keep_settings(url=answers.url)
    for answer, said in (
        ((404, b"{}"), ("fabric", "note", "does not tell")),
        ((503, b'{"detail": "later"}'), ("fabric", "note", "later")),
        ((200, b'{"reasons": [{"id": "price", "status": "problem", "found": "dear"}]}'), ("price", "mend", "dear")),
    ):
        answers.answer = answer
        # When it asks why
        agent, told = reasons(home, options_of(home))
        # Then it hears what stands in the way here, and what the fabric says, or that it does not
        assert (agent.id, agent.status) == ("agent", "mend")
        assert (told.id, told.status) == said[:2]
        assert said[2] in told.found


def test_an_agent_waits_for_a_fabric_that_is_not_up_yet(tmp_path):
    # Given an agent whose fabric does not answer
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "provider_join",
        "--url",
        f"http://127.0.0.1:{port}",
        "--home",
        str(tmp_path),
        "--token",
        "fjt_1",
    ]
    with subprocess.Popen([*command, "--slots", "1"], stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdout is not None
        said = ""
        while "trying again" not in said:
            said = agent.stdout.readline()
            assert said, "the agent ended"
        # When the fabric comes up and does not like the token
        server = Answers(port)
        server.answer = (401, b'{"detail": "This join token is unknown."}')
        # Then the agent heard it
        rest = agent.stdout.read()
        assert agent.wait() == EXIT_REFUSED
        server.shutdown()
        server.server_close()
    assert "This join token is unknown" in rest


def test_the_check_says_in_plain_words_what_to_mend(tmp_path):
    command = [
        sys.executable,
        "-m",
        "provider_join",
        "--check",
        "--url",
        f"http://127.0.0.1:{free_port()}",
        "--home",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert any("MEND" in line and "does not answer" in line for line in lines)
    assert any("MEND" in line and "--token" in line for line in lines)
    assert any("ok" in line and "ONNX Runtime" in line for line in lines)
