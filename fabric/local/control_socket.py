"""What a running `fabric up` does when another command of the same user asks it to, over a Unix socket in its home.

One line of JSON asks ({"act": "rotate-token"}); lines of JSON answer: {"told": "…"} while it goes on, at last {"done": {…}} or
{"failed": "…"}. One act at a time. The socket lies in a folder of mode 0700, and the kernel says who asks.
"""

import contextlib
import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fabric.local.home import Home

NAME = "up.sock"
QUESTION_BYTES_MAX = 4096
QUESTION_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 300.0

Tell = Callable[[str], None]
Act = Callable[[Tell], dict[str, Any]]


class NotRunning(Exception):
    """No `fabric up` listens on this home."""


class ActFailed(Exception):
    """It was asked, and could not do it; the message says why."""


class ControlSocket:
    """The listening side; `close` ends it, waiting for an act that is under way."""

    def __init__(self, home: Home, acts: Mapping[str, Act]) -> None:
        """Listen from now on, in a thread of its own."""
        self._acts = acts
        self._path = home.run / NAME
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        with _short(self._path) as path:
            self._listener.bind(path)
        self._path.chmod(0o600)
        self._listener.listen(4)
        self._thread = threading.Thread(target=self._serve, name="control-socket", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._thread.join(ANSWER_TIMEOUT_S)
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):  # whoever asked may be gone
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        def say(**line: Any) -> None:
            with contextlib.suppress(OSError):  # the act goes on without its audience
                connection.sendall(json.dumps(line).encode() + b"\n")

        if _user_of(connection) not in {0, os.geteuid()}:
            return
        connection.settimeout(QUESTION_TIMEOUT_S)
        with connection.makefile("rb") as lines:
            question = lines.readline(QUESTION_BYTES_MAX)
        try:
            act = self._acts[json.loads(question)["act"]]
        except (ValueError, KeyError, TypeError):
            say(failed="this fabric does not know how to do that")
            return
        try:
            done = act(lambda line: say(told=line))
        except Exception as error:  # one that failed must not end the thread
            say(failed=str(error) or type(error).__name__)
        else:
            say(done=done)


def ask(home: Home, act: str, tell: Tell) -> dict[str, Any]:
    """Have the fabric on this home do something; `tell` gets its lines meanwhile.

    Raises:
        NotRunning: nobody listens.
        ActFailed: it could not be done.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_TIMEOUT_S)
        try:
            with _short(home.run / NAME) as path:
                connection.connect(path)
        except OSError as error:
            raise NotRunning(f"no fabric runs on {home.path}") from error
        connection.sendall(json.dumps({"act": act}).encode() + b"\n")
        for line in connection.makefile("r"):
            said = json.loads(line)
            if "done" in said:
                return dict(said["done"])
            if "failed" in said:
                raise ActFailed(str(said["failed"]))
            tell(str(said["told"]))
    raise ActFailed("the fabric ended before it was done")


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """The same file by a path that is short enough for a socket, however long the home's is."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _user_of(connection: socket.socket) -> int:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])
