"""Gives a running fabric another Ray token: a new head with the new one, the application deployed on it, machines back by themselves.

Ray knows one token for everybody and reads it when a process starts, so whoever held the old one is out once the head that accepts
it is gone. The head's store goes too: it holds nothing that Postgres does not know, and a node of the cluster before cannot come
back to a cluster that never heard of it. Jobs are rows: what a machine was doing is given to it, or another, again.
"""

import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fabric.gate.control import ask
from fabric.local.assembly import Assembly
from fabric.local.control_parts import RayHeadPart, ServePart
from fabric.local.home import Home
from fabric.local.parts import PartFailed, answers

ROTATE = "rotate-token"
TOKEN_NAME = "ray.token"  # noqa: S105 - the name of the file that holds it
TOKEN_BYTES = 32
READY_TIMEOUT_S = 60.0
PREPARE_TIMEOUT_S = 30.0
MACHINES_TIMEOUT_S = 60.0
POLL_S = 0.05

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Rotation:
    """How a change of the token went, in seconds since the old head began to end."""

    endpoint_back_s: float
    """Until then requests got 503."""
    machines_before: int
    """How many had a node; without the gate nobody counts them, so none."""
    machines_back: int
    """So many of them had one again after at most a minute."""
    machines_back_s: float
    """When the last of these was back: until then work waited."""


def renew_token(home: Home) -> None:
    """Put a new token in the place of the old one; the next head takes it."""
    home.keep_secret(TOKEN_NAME, secrets.token_urlsafe(TOKEN_BYTES))


def replace_head(assembly: Assembly, head: RayHeadPart, serve: ServePart, ready_path: str, tell: Tell) -> tuple[float, float]:
    """Change the token while nobody else restarts head or application; when the old head began to end, and seconds until ready.

    Raises:
        PartFailed: the head or the application did not come back. Starting them again uses the new token.
    """
    serve.prepare()  # seconds of imports, which pass while everything still runs; it reads the token when it connects
    deadline = time.monotonic() + PREPARE_TIMEOUT_S
    while not serve.is_prepared() and time.monotonic() < deadline and not serve.is_ending:
        time.sleep(POLL_S)
    renew_token(assembly.home)
    begun_s = time.monotonic()
    tell("the old head ends; what runs is given back and done again")
    head.end_orderly()
    shutil.rmtree(assembly.home.gcs, ignore_errors=True)
    assembly.home.gcs.mkdir(mode=0o700)
    head.start()
    tell(f"a new head runs, with another token ({time.monotonic() - begun_s:.1f} s)")
    serve.begin()
    serve.start()
    wait_until_ready(serve, ready_path)
    back_s = time.monotonic() - begun_s
    tell(f"the endpoint is back ({back_s:.1f} s)")
    return begun_s, back_s


def await_machines(home: Home, before: dict[str, str], begun_s: float, is_ending: Callable[[], bool]) -> tuple[int, float]:
    """How many of these machines have another node by now or within a minute, and when the last of them had, since `begun_s`."""
    deadline = time.monotonic() + MACHINES_TIMEOUT_S
    back, back_s = 0, 0.0
    while True:
        now = nodes_of_machines(home)
        if (found := sum(now.get(provider, node) != node for provider, node in before.items())) > back:
            back, back_s = found, time.monotonic() - begun_s
        if back == len(before) or time.monotonic() > deadline or is_ending():
            return back, back_s
        time.sleep(POLL_S)


def nodes_of_machines(home: Home) -> dict[str, str]:
    """The Ray node of each machine that has one, as the gate knows them; none when no gate runs."""
    try:
        peers = ask(gate_socket(home), "status")["peers"]
    except (OSError, KeyError, ValueError):
        return {}
    return {provider: facts["node_id"] for provider, facts in peers.items() if facts["node_id"]}


def gate_socket(home: Home) -> Path:
    """Where the gate of this home answers."""
    return home.run / "gate.sock"


def wait_until_ready(serve: ServePart, path: str) -> None:
    """Wait until the endpoint answers at `path`.

    Raises:
        PartFailed: it did not within a minute.
    """
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not answers(f"{serve.url}/{path}"):
        if time.monotonic() > deadline:
            raise PartFailed(f"{serve.url}/{path} did not answer within {READY_TIMEOUT_S:.0f} s; see {serve.log}")
        time.sleep(POLL_S)
