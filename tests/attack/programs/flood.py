"""Attacks by amount: connections and calls of one machine, and what a neighbour notices of them."""

import contextlib
import resource
import socket
import threading
import time
from typing import Any

import grpc
from ray.core.generated import gcs_service_pb2

from tests.attack.programs import wire

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"  # and an empty SETTINGS frame
CALLERS = 4


def flood(connections: int, seconds: float) -> tuple[bool, str, dict[str, Any]]:
    """Hold as many connections as one can and call as often as one can."""
    at = wire.session()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    host, _, port = at.gcs.rpartition(":")
    ends = time.monotonic() + seconds
    counts = {"served": 0, "refused": 0}
    callers = [threading.Thread(target=_call, args=(at, ends, counts), daemon=True) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    held = []
    for _ in range(connections):
        if time.monotonic() > ends:
            break
        with contextlib.suppress(OSError):
            link = socket.create_connection((host, int(port)), 2)
            held.append(link)
            link.sendall(PREFACE)
    time.sleep(max(0.0, ends - time.monotonic()))
    alive = sum(_is_open(link) for link in held)
    for caller in callers:
        caller.join(wire.CALL_S + 1)
    evidence = f"{alive} of {connections} connections held, {counts['served'] / seconds:.0f} calls/s answered, {counts['refused']} refused"
    return alive > 0, evidence, {"held": alive, **counts}


def neighbour(seconds: float) -> tuple[bool, str, dict[str, Any]]:
    """What another machine sees meanwhile: one new connection and one call every 100 ms."""
    at = wire.session()
    request = gcs_service_pb2.GetAllNodeInfoRequest()
    ends = time.monotonic() + seconds
    times, failures = [], []
    while time.monotonic() < ends:
        began = time.monotonic()
        try:
            wire.gcs(at, f"{wire.NODES}/GetAllNodeInfo", request)
            times.append(time.monotonic() - began)
        except grpc.RpcError as error:
            failures.append(wire.refusal(error))
        time.sleep(0.1)
    slowest = sorted(times)[int(len(times) * 0.95)] if times else float("inf")
    return not failures, f"{len(times)} calls answered, 95 % within {slowest * 1000:.0f} ms, {len(failures)} failed", {
        "failures": failures[:3], "slowest_s": slowest, "answered": len(times), "failed": len(failures),
    }  # fmt: skip


def _call(at: wire.Session, ends: float, counts: dict[str, int]) -> None:
    request = gcs_service_pb2.GetAllNodeInfoRequest().SerializeToString()
    with grpc.insecure_channel(at.gcs, options=wire.UNLIMITED) as channel:
        ask = channel.unary_unary(f"/ray.rpc.{wire.NODES}/GetAllNodeInfo")
        while time.monotonic() < ends:
            try:
                ask(request, metadata=wire.credentials(at.token), timeout=wire.CALL_S)
                counts["served"] += 1
            except grpc.RpcError:
                counts["refused"] += 1
                time.sleep(0.001)


def _is_open(link: socket.socket) -> bool:
    """Whether the other side still keeps it: it may have said something, but not goodbye."""
    link.setblocking(False)
    try:
        while data := link.recv(4096):
            if b"\x07\x00\x00\x00\x00\x00" in data:  # the head of a GOAWAY frame: its type, no flags, stream 0
                return False
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
