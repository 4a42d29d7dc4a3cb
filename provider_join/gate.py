"""Enters the fabric's gate: says who this machine is, before its Ray node says anything.

The gate ties the address from which this call comes to this machine, and from then on lets through what enrolment granted it.
"""

import ipaddress
import json
import socket
from typing import Any
from urllib.parse import urlsplit

METHOD = "/fabric.gate.Gate/Enter"
TIMEOUT_S = 10.0
ANSWER_BYTES_MAX = 64 * 1024


class NotLetIn(Exception):
    """The gate did not let this machine in; the message says why, and what helps where something does."""


def address_for(url: str, session_ray: dict[str, Any]) -> str:
    """Where this machine reaches the cluster: the gate's place for machines of the control node if it is one, else the outer address.

    Several machines of the control node would all have one address beyond loopback, and an address is one machine.
    """
    here = session_ray.get("loopback_address")
    return str(here) if here and is_this_machine(urlsplit(url).hostname or "") else str(session_ray["address"])


def is_this_machine(host: str) -> bool:
    """Whether a server at `host` runs on this machine."""
    try:
        addresses = {str(facts[4][0]) for facts in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        return False
    return bool(addresses) and all(_is_own(address) for address in addresses)


def _is_own(address: str) -> bool:
    parsed = ipaddress.ip_address(address.split("%", maxsplit=1)[0])
    if parsed.is_loopback:
        return True
    with socket.socket(socket.AF_INET6 if parsed.version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))  # only an address of this machine can be bound
        except OSError:
            return False
    return True


def enter(address: str, provider_id: str, gate_key: str, *, timeout_s: float = TIMEOUT_S) -> str:
    """Say who this machine is; the address that its Ray node must have.

    Raises:
        NotLetIn: the gate refused, or does not answer.
    """
    import grpc  # comes with ray[default]

    question = json.dumps({"provider_id": provider_id, "gate_key": gate_key}).encode()
    options = [
        ("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", ANSWER_BYTES_MAX), ("grpc.enable_retries", 0),
    ]  # fmt: skip
    try:
        with grpc.insecure_channel(address, options=options) as channel:
            answer = json.loads(channel.unary_unary(METHOD)(question, timeout=timeout_s, wait_for_ready=True))
            return str(ipaddress.ip_address(answer["node_ip"]))
    except grpc.RpcError as error:
        raise NotLetIn(_in_words(address, error.code().name, error.details() or "")) from None
    except (ValueError, KeyError, TypeError):
        raise NotLetIn(f"what answers at {address} is no fabric's gate") from None


def _in_words(address: str, code: str, detail: str) -> str:
    detail = detail[:500]
    if code == "PERMISSION_DENIED":
        return f"the gate at {address} does not let this machine in: {detail or 'it does not know it'}"
    if code == "FAILED_PRECONDITION":
        return (
            f"the gate at {address} knows another live machine by this machine's address: {detail}. "
            "Behind one address (NAT, or agents side by side) only one machine can join; give each an address of its own"
        )
    if code == "DEADLINE_EXCEEDED":
        return f"the gate at {address} does not answer; does a firewall stand between, or is the fabric restarting?"
    return f"the gate at {address} cannot be entered now ({code.lower()}{': ' + detail if detail else ''})"
