"""Attacks that want to be taken for somebody else: another provider's key, another's address, no enrolment at all."""

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import grpc
from ray.core.generated import gcs_service_pb2

from tests.attack.programs import nodes, wire

ENTER = "/fabric.gate.Gate/Enter"


def whoami() -> tuple[bool, str, dict[str, Any]]:
    """What this machine's own agent was given."""
    at = wire.session()
    return True, "", {"gcs": at.gcs, "token": at.token, "address": at.address}


def new_key(url: str) -> tuple[bool, str, dict[str, Any]]:
    """Open one more session as this machine's agent would; the gate's key in it (none without a gate)."""
    from provider_join.api import ControlPlane
    from provider_join.config import Credential, read_options
    from provider_join.join import describe_machine
    from provider_join.trust import trust_of

    options = read_options(["--url", url, "--home", "/tmp/other", "--slots", "1", "--threads", "1", "--allow-plaintext"])
    me = Credential(**json.loads(Path("/tmp/agent/credential.json").read_text()))
    control = ControlPlane(options.url, trust_of(options))
    try:
        session = control.session(me, describe_machine(options) | {"price_usd_per_hour": None})
    finally:
        control.close()
    return True, "", {"provider_id": me.provider_id, "gate_key": session["ray"].get("gate_key")}


def pass_for(provider_id: str, keys: list[tuple[str, str]]) -> tuple[bool, str, dict[str, Any]]:
    """Enter with each (provider, key), then register a node of this machine under somebody else's provider id."""
    at = wire.session()
    said, entered = [], []
    for who, key in keys:
        try:
            answer = wire.call(at.gcs, ENTER, json.dumps({"provider_id": who, "gate_key": key}).encode())
            entered.append(who)
            said.append(f"Enter as {who[-6:]}: {answer.decode()[:80]}")
        except grpc.RpcError as error:
            said.append(f"Enter as {who[-6:]}: {wire.refusal(error)}")
    done, why, facts = nodes.register({"fabric.provider-id": provider_id}, {})
    said.append(f"RegisterNode as {provider_id[-6:]}: {why}")
    return done, "; ".join(said), {**facts, "entered": entered}


def without_entering(gcs: str, token: str) -> tuple[bool, str]:
    """Read the table of nodes with a stolen token, from a machine that never enrolled."""
    try:
        raw = wire.call(gcs, f"{wire.NODES}/GetAllNodeInfo", gcs_service_pb2.GetAllNodeInfoRequest(), token=token)
    except grpc.RpcError as error:
        return False, wire.refusal(error)
    found = gcs_service_pb2.GetAllNodeInfoReply.FromString(raw).node_info_list
    return bool(found), f"{len(found)} nodes listed"


def go_on(seconds: float, enter: list[str]) -> tuple[bool, str, dict[str, Any]]:
    """Call 20 times a second over one connection, entering again when refused; when the last answer came (on the clock of all)."""
    at = wire.session()
    request = gcs_service_pb2.GetAllNodeInfoRequest().SerializeToString()
    ends = time.time() + seconds
    first, last, why, refused = 0.0, 0.0, "", 0
    with grpc.insecure_channel(at.gcs, options=wire.UNLIMITED) as channel:
        ask = channel.unary_unary(f"/ray.rpc.{wire.NODES}/GetAllNodeInfo")
        while time.time() < ends:
            try:
                ask(request, metadata=wire.credentials(at.token), timeout=1.0)
                last = time.time()
                first = first or last
            except grpc.RpcError as error:
                refused += 1
                why = wire.refusal(error)
                with contextlib.suppress(grpc.RpcError):
                    question = {"provider_id": enter[0], "gate_key": enter[1]}
                    wire.call(at.gcs, ENTER, json.dumps(question).encode(), timeout_s=1.0)
            time.sleep(0.05)
    return last > 0, why or "answered to the end", {"first": first, "last": last, "refused": refused}
