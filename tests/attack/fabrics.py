"""A fabric under attack: `fabric up` beyond loopback, an attacker's and a victim's machine that joined, and a witness who sees what is true."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import grpc
import httpx

from tests.attack.machines import HUB, Machine
from tests.attack.witness import Witness

BIN = Path(sys.executable).parent
UP_S = 300.0
JOIN_S = 120.0
PASSWORD = "correct horse battery"
Result = TypeVar("Result")


@dataclass
class Owner:
    """Somebody with machines, who has just registered."""

    http: httpx.Client

    @classmethod
    def register(cls, url: str, name: str) -> "Owner":
        http = httpx.Client(base_url=f"{url}/api/v1", timeout=20, trust_env=False)
        answer = http.post("/auth/register", json={"email": f"{name}-{secrets.token_hex(4)}@example.com", "password": PASSWORD})
        answer.raise_for_status()
        http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return cls(http)

    def join_token(self) -> str:
        answer = self.http.post("/providers/join-tokens", json={"label": "attack suite", "uses_max": 5})
        answer.raise_for_status()
        return str(answer.json()["token"])

    def machines(self) -> list[dict[str, Any]]:
        answer = self.http.get("/providers")
        return list(answer.json()["data"]) if answer.status_code == 200 else []


@dataclass
class Member:
    """A machine whose real agent has joined, and its owner."""

    machine: Machine
    owner: Owner
    agent: "subprocess.Popen[str]"
    log: Path

    @property
    def facts(self) -> dict[str, Any]:
        """What its owner sees of it."""
        (facts,) = self.owner.machines()
        return facts

    @property
    def provider_id(self) -> str:
        return str(self.facts["id"])

    @property
    def credential(self) -> dict[str, Any]:
        """What enrolment gave to the agent; its owner can read it of course."""
        return dict(json.loads(self.machine.path("/tmp/agent/credential.json").read_text()))


@dataclass
class AttackedFabric:
    """A running fabric with its attacker and its victim."""

    is_gated: bool
    url: str
    home: Path
    process: "subprocess.Popen[bytes]"
    log: Path
    witness: Witness
    members: dict[str, Member] = field(default_factory=dict)
    outsider: Machine | None = None
    gone: set[str] = field(default_factory=set)
    """Machines that were banned: they do not come back."""
    is_wounded: bool = False
    """Whether an attack has ended the GCS: it comes back soon, and the endpoint later than the attacks that are left need it."""

    @property
    def attacker(self) -> Member:
        return self.members["attacker"]

    @property
    def victim(self) -> Member:
        return self.members["victim"]

    @property
    def side(self) -> Any:
        """Its column in the table."""
        return "fabric" if self.is_gated else "plain"

    def join(self, name: str, number: int) -> Member:
        """Start a machine of a new owner and its agent; does not wait."""
        machine = Machine(name, number)
        owner = Owner.register(self.url, name)
        log = self.log.with_name(f"{self.side}-{name}.log")
        command = [str(BIN / "provider-join"), "--url", self.url, "--home", "/tmp/agent", "--name", name, "--slots", "1", "--threads", "1",
                   "--allow-plaintext"]  # fmt: skip
        agent = machine.spawn(
            command, environment={"FABRIC_JOIN_TOKEN": owner.join_token()}, stdin=subprocess.DEVNULL, stdout=log.open("w"),
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.members[name] = Member(machine, owner, agent, log)
        return self.members[name]

    def wait_for(self, name: str) -> bytes:
        """Wait until that machine is open for work and its node is alive; returns the node's id."""
        member = self.members[name]

        def node() -> bytes | None:
            assert member.agent.poll() is None, f"the agent of {name} ended:\n{member.log.read_text()}"
            try:
                found = self.witness.node_at(member.machine.address)
            except grpc.RpcError:
                return None
            if self.is_wounded:
                return found.node_id if found else None
            is_open = [
                m for m in member.owner.machines() if m["status"] == "online" and m["agent_state"].get("state") == "running"
            ]
            return found.node_id if found and is_open else None

        return eventually(node, f"{name} did not join", JOIN_S, member.log.read_text)

    def wait_until_whole(self) -> None:
        """What the attack before did to a machine's node is mended: its agent has brought it back."""
        for name in self.members.keys() - self.gone:
            self.wait_for(name)

    def end(self) -> None:
        """End the agents' machines, then the fabric, in order."""
        for machine in [*(m.machine for m in self.members.values()), *([self.outsider] if self.outsider else [])]:
            machine.end()
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_fabric(*, is_gated: bool) -> AttackedFabric:
    """Start a fabric, two provider machines of different owners, and a third machine that has not joined."""
    name = "gated" if is_gated else "open"
    home, log = Path(f"/tmp/home-{name}"), Path(f"/tmp/{name}-up.log")
    home.mkdir(mode=0o711)
    command = [str(BIN / "fabric"), "up", "--host", HUB, "--port", "8700", "--providers", "0", "--allow-plaintext"]
    command += [] if is_gated else ["--no-gate", "--trust-providers"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("FABRIC_", "RAY_"))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env={**environment, "FABRIC_HOME": str(home)}, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True, cwd="/",
        )  # fmt: skip

    def is_ready() -> bool:
        assert process.poll() is None, f"fabric up ended:\n{log.read_text()}"
        return "ready after" in log.read_text()

    try:
        eventually(is_ready, "the fabric did not start", UP_S, log.read_text)
        witness = Witness(home)
        fabric = AttackedFabric(is_gated, f"http://{HUB}:8700", home, process, log, witness)
    except BaseException:
        process.kill()
        process.wait()
        raise
    try:
        fabric.join("attacker", 1)
        fabric.join("victim", 2)
        fabric.outsider = Machine("outsider", 3)
        for member in fabric.members:
            fabric.wait_for(member)
    except BaseException:
        fabric.end()
        raise
    return fabric


def eventually(
    question: Callable[[], Result | None], complaint: str, within_s: float = 30.0, context: Callable[[], str] = lambda: ""
) -> Result:
    """Ask until the answer is true: what is asked about happens in other processes."""
    deadline = time.monotonic() + within_s
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{complaint}\n{context()}"
        time.sleep(0.1)
