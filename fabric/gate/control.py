"""The gate's control socket: one line asks (`status`, `refusals`, `metrics`), one JSON object answers.

Only processes of the same user reach it. Its path may be longer than a socket's path may be, so both sides go through the
folder's file descriptor.
"""

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

QUESTION_BYTES_MAX = 100
ASK_TIMEOUT_S = 2.0

Answers = Mapping[str, Callable[[], Awaitable[dict[str, Any]]]]


async def serve(path: Path, answers: Answers) -> asyncio.AbstractServer:
    """Answer at `path` until the server is closed; a socket that a killed gate left there is replaced."""
    path.unlink(missing_ok=True)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                question = (await reader.readline())[:QUESTION_BYTES_MAX].decode(errors="replace").strip()
            said = await answers[question]() if question in answers else {"error": f"ask one of {', '.join(sorted(answers))}"}
            writer.write(json.dumps(said).encode() + b"\n")
            await writer.drain()
        except (OSError, TimeoutError, ValueError):
            pass  # whoever asked is gone
        finally:
            writer.close()

    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _reached(path) as short:
        listener.bind(short)
    path.chmod(0o600)
    return await asyncio.start_unix_server(answer, sock=listener)


def ask(path: Path, question: str, timeout_s: float = ASK_TIMEOUT_S) -> dict[str, Any]:
    """What the gate that listens at `path` says.

    Raises:
        OSError: no gate listens there, or it does not answer in time.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(timeout_s)
        with _reached(path) as short:
            channel.connect(short)
        channel.sendall(f"{question}\n".encode())
        with channel.makefile("rb") as answer:
            line = answer.readline()
    if not line:
        raise ConnectionResetError("the gate ended")
    return dict(json.loads(line))


@contextmanager
def _reached(path: Path) -> Iterator[str]:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
