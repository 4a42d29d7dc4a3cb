"""How `provider-join pause` and its like reach the agent that runs from a home: a loopback socket, and a file that tells the way.

One JSON line there, one back. The file (mode 0600, in the home) holds the port and a token, so only who may read the home is heard;
Windows has no other door that Python opens by itself. The agent answers in its own thread of decisions, so what it says is so.
"""

import contextlib
import hmac
import json
import secrets
import socket
import socketserver
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from provider_join.config import EXIT_NOT_RUNNING, Home, Stop

LINE_BYTES_MAX = 64 * 1024
READ_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 20.0
"""The agent may be waiting for the fabric, which has 5 s to answer."""

Reply = Callable[[dict[str, Any]], None]


class Channel:
    """The agent's end: what is asked comes as (act, reply), and `reply` is called once."""

    def __init__(self, home: Home, asked: Callable[[str, Reply], None]) -> None:
        """Open the door and say in the home where it is."""
        self._way = way_of(home.path)
        token = secrets.token_hex(32)

        class Caller(socketserver.StreamRequestHandler):
            timeout = READ_TIMEOUT_S

            def handle(self) -> None:
                with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
                    question = json.loads(self.rfile.readline(LINE_BYTES_MAX))
                    if hmac.compare_digest(str(question.get("token")).encode(), token.encode()):
                        self.wfile.write(json.dumps(_answer(asked, str(question.get("act")))).encode() + b"\n")

        self._server = socketserver.TCPServer(("127.0.0.1", 0), Caller)
        threading.Thread(target=self._server.serve_forever, name="channel", daemon=True).start()
        home.write_private(self._way, json.dumps({"port": self._server.server_address[1], "token": token}))

    def close(self) -> None:
        """Nobody is heard any more."""
        self._way.unlink(missing_ok=True)
        self._server.shutdown()
        self._server.server_close()


def _answer(asked: Callable[[str, Reply], None], act: str) -> dict[str, Any]:
    answers: SimpleQueue[dict[str, Any]] = SimpleQueue()
    asked(act, answers.put)
    try:
        return answers.get(timeout=ANSWER_TIMEOUT_S)
    except Empty:
        return {"error": "the agent is busy; try again"}


def way_of(home: Path) -> Path:
    """Where the agent of a home says how it is reached."""
    return home / "run" / "channel.json"


def ask(home: Path, act: str) -> dict[str, Any]:
    """Ask the agent that runs from `home`; its answer.

    Raises:
        Stop: none runs there, or it does not answer.
    """
    try:
        way = json.loads(way_of(home).read_text())
        question = json.dumps({"token": way["token"], "act": act}).encode() + b"\n"
        with socket.create_connection(("127.0.0.1", int(way["port"])), READ_TIMEOUT_S) as connection:
            connection.settimeout(ANSWER_TIMEOUT_S + READ_TIMEOUT_S)
            connection.sendall(question)
            answer = json.loads(connection.makefile("rb").readline())
    except (OSError, ValueError, KeyError, TypeError):
        raise Stop(_nobody(home), EXIT_NOT_RUNNING) from None
    if not isinstance(answer, dict) or "error" in answer:
        raise Stop(
            f"The agent at {home} cannot do that: {answer['error'] if isinstance(answer, dict) else answer}", EXIT_NOT_RUNNING
        )
    return answer


def _nobody(home: Path) -> str:
    if home.is_dir() and Home(home).is_locked():
        return f"An agent runs from {home}, but it is not ready: it measures this machine, or waits for the fabric to answer."
    return f"No agent runs from {home}. Start one with `provider-join --url …`, or name its folder with --home."
