"""Attacks on what listens: every TCP port of the control node, and the machines of others."""

import selectors
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.attack.programs import control, wire

POSTGRES = """
import os, psycopg
with open(os.environ["FABRIC_HOME"] + "/run/fabric.env") as file:
    variables = dict(line.strip().split("=", 1) for line in file if "=" in line)
url = variables["FABRIC_DATABASE_APP_URL"].strip("'").strip('"')
with psycopg.connect(url) as connection:
    count, first = connection.execute("SELECT count(*), min(email) FROM users").fetchone()
said = f"{count} users read, the first is {first}"
"""
OBJECTS = """
import os
root = os.environ["FABRIC_HOME"] + "/objects"
with open(root + "/planted", "w") as file:
    file.write("planted")
said = f"a file planted among {sum(len(names) for _, _, names in os.walk(root))} objects"
"""
AT_ONCE = 512
WAIT_S = 1.0


def ports(hosts: list[str], first: int = 1, last: int = 65535) -> tuple[bool, str, dict[str, Any]]:
    """Which ports of these addresses accept a connection."""
    found: dict[str, list[int]] = {}
    started = time.monotonic()
    for host in hosts:
        found[host] = _scan(host, range(first, last + 1))
    count = sum(len(open_ports) for open_ports in found.values())
    return (
        count > 0,
        f"{count} ports open of {len(hosts) * (last - first + 1)} in {time.monotonic() - started:.0f} s",
        {"open": found},
    )


def postgres(canary: str, name: str) -> tuple[bool, str]:
    """Read the users' table: by TCP, by a socket in the file system, by an actor on the head."""
    places = [found for root in ("/tmp", "/run") for found in Path(root).rglob(".s.PGSQL*")]
    direct = connect(_hub(), 5432)[1]
    done, said, _ = control.actor("head", canary, name, POSTGRES)
    return done, f"{direct}; {len(places)} sockets in sight; through an actor: {said}"


def objects(url: str, canary: str, name: str) -> tuple[bool, str]:
    """Plant a file in the object store: by HTTP without a signature, by an actor on the head."""
    said = []
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for path in ("/objects/planted", "/objects/../planted", "/objects/%2e%2e/planted"):
        try:
            with opener.open(urllib.request.Request(url + path, b"planted", method="PUT"), timeout=5) as answer:
                said.append(f"PUT {path} {answer.status}")
        except urllib.error.HTTPError as error:
            said.append(f"PUT {path} {error.code}")
        except OSError as error:
            said.append(f"PUT {path} {type(error).__name__}")
    done, why, _ = control.actor("head", canary, name, OBJECTS)
    return done, f"{', '.join(said)}; through an actor: {why}"


def _hub() -> str:
    return wire.session().gcs.rpartition(":")[0]


def connect(host: str, port: int) -> tuple[bool, str]:
    """Whether a connection to one port is accepted."""
    try:
        with socket.create_connection((host, port), 3):
            return True, f"{host}:{port} accepts connections"
    except OSError as error:
        return False, f"{host}:{port} {type(error).__name__}: {error}"


def _scan(host: str, wanted: range) -> list[int]:
    family, *_, address = socket.getaddrinfo(host, 1, type=socket.SOCK_STREAM)[0]
    found, waiting = [], {}
    selector = selectors.DefaultSelector()
    todo = iter(wanted)
    exhausted = False
    while not exhausted or waiting:
        while len(waiting) < AT_ONCE and not exhausted:
            port = next(todo, None)
            if port is None:
                exhausted = True
                break
            probe = socket.socket(family, socket.SOCK_STREAM)
            probe.setblocking(False)
            if probe.connect_ex((address[0], port, *address[2:])) not in (0, 115):
                probe.close()
                continue
            waiting[probe] = (port, time.monotonic() + WAIT_S)
            selector.register(probe, selectors.EVENT_WRITE)
        for key, _ in selector.select(0.05):
            probe = key.fileobj
            assert isinstance(probe, socket.socket)
            port, _deadline = waiting.pop(probe)
            if probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                found.append(port)
            selector.unregister(probe)
            probe.close()
        now = time.monotonic()
        for probe in [probe for probe, (_, deadline) in waiting.items() if deadline < now]:
            del waiting[probe]
            selector.unregister(probe)
            probe.close()
    return sorted(found)
