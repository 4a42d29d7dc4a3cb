"""Stays: keeps the Ray node and the heartbeats going until this machine leaves, or is told to.

One thread decides everything, in turns: take what came into the inbox, then start what is missing and send what is due. The Ray
node starts and dies in a child process, so a heartbeat never waits for it and a revoked machine is off within seconds.
"""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import psutil

from provider_join.api import ControlPlane, Refused, Unreachable
from provider_join.channel import Channel, Reply
from provider_join.config import EXIT_REFUSED, EXIT_UPGRADE, Credential, Home, Options, Stop
from provider_join.from_afar import FromAfar
from provider_join.gate import address_for
from provider_join.metrics import Meter
from provider_join.ray_node import Message, RayNode
from provider_join.restraint import Restraint
from provider_join.upgrade import Upgrade, installed

BACK_OFF_S = 1.0
BACK_OFF_MAX_S = 30.0
UNREACHABLE_RETRY_S = 3.0  # a restarting fabric is back within seconds, and work waits for its machines
STEADY_S = 60.0  # a node that lived so long starts the back-off afresh
START_TIMEOUT_S = 120.0
DRAIN_POLL_S = 0.5
DRAIN_UNREACHABLE_S = 10.0
FAREWELL_S = 1.0
GIB = 1024**3


class _LeaveNow(Exception):
    """The second signal."""


@dataclass(frozen=True, slots=True)
class Member:
    """This machine as the fabric knows it."""

    credential: Credential
    application: dict[str, Any]  # what it said when it joined; said again when it rejoins


class Stay:
    """The agent from enrolment to farewell."""

    def __init__(
        self,
        control: ControlPlane,
        me: Member,
        session: dict[str, Any],
        options: Options,
        home: Home,
        restraint: Restraint,
        from_afar: FromAfar,
        say: Callable[[str], None],
    ) -> None:
        """Prepare; `run` does it."""
        if words := from_afar.hear(session):  # wished while this machine was away
            say(words)
        self._name, self._restraint, self._from_afar, self._holding = options.name, restraint, from_afar, restraint.holding()
        self._since = self._heard_at = time.time()
        self._orders = 0
        self._control, self._me, self._session, self._home, self._say = control, me, session, home, say
        self._inbox: SimpleQueue[Message] = SimpleQueue()
        self._upgrade = Upgrade(options, home, self._inbox, installed())
        self.successor: Path | None = None
        """The environment in which the agent goes on, when `run` ended with EXIT_UPGRADE."""
        machine = me.application["capabilities"]
        self._meter = Meter(machine["cpu"], [slot["device_key"] for slot in machine["slots"]])
        self._node: RayNode | None = None
        self._node_since = 0.0
        self._failures = 0
        self._retry_at = 0.0
        self._beat_at = 0.0
        self._signals = 0
        self._is_draining = False
        self._quiet_beats = 0
        self._unreachable_since: float | None = None
        self._desired = "run"
        self._exit_code: int | None = None

    def run(self) -> int:
        """Stay until it is over; the exit code. Call on the main thread."""
        channel = Channel(self._home, lambda act, reply: self._inbox.put(("asked", None, (act, reply))))
        stop_looking = self._restraint.start()
        if self._holding:
            self._say(f"no new work: {self._holding.detail}")
        try:
            with self._signals_caught():
                self._start_node()
                while self._exit_code is None:
                    self._take()
                    self._turn(time.monotonic())
        except _LeaveNow:
            self._say("leaving at once; what was running is given to other machines")
            self._exit_code = 130
        finally:
            stop_looking()
            channel.close()
            self._end_node()
        if self._exit_code != EXIT_REFUSED:
            with contextlib.suppress(Unreachable, Refused, Stop):
                self._control.heartbeat(self._me.credential, self._report("left"), timeout_s=FAREWELL_S)
        self._say("left")
        return self._exit_code or 0

    @contextlib.contextmanager
    def _signals_caught(self) -> Iterator[None]:
        def caught(number: int, _frame: object) -> None:
            self._signals += 1
            if self._signals > 1:
                raise _LeaveNow
            self._inbox.put(("signal", None, number))

        before = {number: signal.signal(number, caught) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            # What ends the node must not be interrupted: a third signal is nothing.
            for number in before:
                signal.signal(number, signal.SIG_IGN)

    # ── turns ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _take(self) -> None:
        now = time.monotonic()
        due = self._beat_at if self._node or self._is_draining else min(self._beat_at, self._retry_at)
        try:
            event, node, detail = self._inbox.get(timeout=min(max(0.0, due - now), 5.0))
        except Empty:
            return
        if event == "signal":
            self._drain("finishing what runs; a second Ctrl-C leaves at once")
        elif event == "upgraded":
            self.successor = Path(str(detail))
            self._drain("the fabric's new version is installed; finishing what runs before it starts")
        elif event == "asked":
            self._answer(*detail)
        elif event == "note" and node is None:
            self._say(str(detail))
        elif node is not self._node or self._node is None:
            return  # the last words of a node that was stopped
        elif event == "note":
            self._say(str(detail))
        elif event == "ready":
            self._node.node_id = str(detail)
            self._node_since = time.monotonic()
            self._beat_at = 0.0
            self._say("this machine's Ray node is up")
        else:
            self._lose_node(detail or "its process ended")

    def _turn(self, now: float) -> None:
        if self._node and self._node.node_id is None and now - self._node_since > START_TIMEOUT_S:
            self._lose_node(f"it did not start within {START_TIMEOUT_S:.0f} s")
        if self._node is None and not self._is_draining and self._exit_code is None and now >= self._retry_at:
            self._rejoin()
        self._consider()
        if self._exit_code is None and now >= self._beat_at:
            self._beat()

    # ── the owner, on this machine ───────────────────────────────────────────────────────────────────────────────────

    def _consider(self) -> None:
        """Tell owner and fabric at once when this machine begins or ends to hold back."""
        before, self._holding = self._holding, self._restraint.holding()
        if (before.by if before else None) != (self._holding.by if self._holding else None):
            self._say(f"no new work: {self._holding.detail}" if self._holding else "takes new work again")
            self._beat_at = 0.0

    def _heed(self, answer: dict[str, Any]) -> None:
        """Keep to a schedule that the owner set from afar, and tell the fabric at once that it counts."""
        if words := self._from_afar.hear(answer):
            self._say(words)
            self._consider()
            self._beat_at = 0.0

    def _answer(self, act: str, reply: Reply) -> None:
        if act == "pause":
            self._restraint.pause()
        elif act == "resume":
            self._restraint.resume()
        elif act == "drain":
            if not self._is_draining:
                self._drain("asked to drain on this machine; finishing what runs")
        elif act != "state":
            reply({"error": f"it does not know what {act!r} is; is it of another version?"})
            return
        self._consider()
        if act != "state" and self._exit_code is None:
            self._beat()  # so that what is answered is what the fabric heard, if it hears
        reply(self._state())

    def _state(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(), "url": self._control.url, "provider_id": self._me.credential.provider_id, "name": self._name,
            "state": self._agent_state(), "desired": self._desired, "orders_outstanding": self._orders,
            "holding": self._holding.report() if self._holding else None, "running_since": self._since,
            "last_contact_at": self._heard_at, "is_in_contact": self._unreachable_since is None,
            "slots": self._me.application["capabilities"]["slots"], "agent_version": self._me.application["agent_version"],
            **self._restraint.describe(), **self._from_afar.describe(),
        }  # fmt: skip

    def _agent_state(self) -> str:
        return "draining" if self._is_draining else "running" if self._node and self._node.node_id else "starting"

    def _guarded(self, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Call the fabric; being refused ends everything at once."""
        try:
            return act()
        except Refused as refusal:
            self._say(f"this machine was cut off: {refusal}")
            self._exit_code = EXIT_REFUSED
            self._end_node()
            return {}

    # ── the node ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _start_node(self) -> None:
        address = address_for(self._control.url, self._session["ray"])
        self._home.keep_settings(cluster_address=address)  # for the doctor
        self._control.check_way(address)
        self._node = RayNode(self._control.url, self._me.credential, self._session, self._home, self._inbox)
        self._node_since = time.monotonic()

    def _end_node(self) -> None:
        if self._node is not None:
            node, self._node = self._node, None
            node.stop()

    def _lose_node(self, why: str) -> None:
        if self._node and self._node.node_id and time.monotonic() - self._node_since > STEADY_S:
            self._failures = 0
        self._end_node()
        wait_s = self._back_off()
        self._say(f"the Ray node is gone ({why.splitlines()[0]}); joining again in {wait_s:.0f} s")
        self._beat_at = 0.0

    def _rejoin(self) -> None:
        try:
            session = self._guarded(lambda: self._control.session(self._me.credential, self._me.application))
        except Unreachable as error:
            now = time.monotonic()
            self._retry_at = now + UNREACHABLE_RETRY_S * random.uniform(0.8, 1.2)
            self._miss(now, str(error))
            return
        if session:
            self._session = session
            self._heed(session)
            self._start_node()

    def _back_off(self) -> float:
        wait_s = min(BACK_OFF_MAX_S, BACK_OFF_S * 2.0**self._failures) * random.uniform(0.8, 1.2)
        self._failures = min(self._failures + 1, 10)
        self._retry_at = time.monotonic() + wait_s
        return wait_s

    # ── heartbeats ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _beat(self) -> None:
        now = time.monotonic()
        self._beat_at = now + (DRAIN_POLL_S if self._is_draining else float(self._session["heartbeat_s"]))
        if self._node:
            self._node.remember()
        try:
            answer = self._guarded(lambda: self._control.heartbeat(self._me.credential, self._report()))
        except Unreachable as error:
            self._beat_at = min(self._beat_at, now + UNREACHABLE_RETRY_S * random.uniform(0.8, 1.2))
            self._miss(now, str(error))
            return
        except Stop:
            if not self._from_afar.misunderstood():
                raise
            self._beat_at = now  # an older fabric took over, which does not know of schedules: say less
            return
        self._heard_at = time.time()
        if self._unreachable_since is not None:
            self._say("the fabric answers again")
            self._unreachable_since = None
        if answer:
            self._obey(answer)

    def _miss(self, now: float, why: str) -> None:
        if self._unreachable_since is None:
            self._unreachable_since = now
            self._say(f"no contact: {why}")
        if self._is_draining and now - self._unreachable_since >= DRAIN_UNREACHABLE_S:
            self._say("nobody can say what is still running; leaving")
            self._leave()

    def _obey(self, answer: dict[str, Any]) -> None:
        self._heed(answer)
        if not self._is_draining and self._upgrade.notice(answer.get("build"), time.monotonic()):
            self._say("the fabric runs another version now; installing it")
        desired = str(answer.get("desired"))
        orders = self._orders = int(answer.get("orders_outstanding") or 0)
        if desired in {"drain", "leave"}:
            if not self._is_draining:
                if self._signals or self.successor:  # our own wish was heard late
                    self._is_draining = True
                else:
                    self._begin_drain("the owner asked this machine to drain")
            # Twice, half a second apart: an order may have been on its way when the drain began.
            self._quiet_beats = self._quiet_beats + 1 if desired == "leave" else 0
            if self._quiet_beats >= 2:
                self._leave()
        elif self._is_draining:  # the wish to drain was lost on the way
            with contextlib.suppress(Unreachable):
                self._guarded(lambda: self._control.drain(self._me.credential))
        elif self._node and answer.get("cluster", self._session["cluster"]) != self._session["cluster"]:
            self._lose_node("the fabric has another Ray cluster now")
        if desired != self._desired:
            self._desired = desired
            self._say(
                {"run": "open for work", "pause": "paused by the owner", "drain": f"{orders} orders to finish"}.get(
                    desired, desired
                )
            )

    def _leave(self) -> None:
        self._exit_code = EXIT_UPGRADE if self.successor and not self._signals else 0

    def _drain(self, why: str) -> None:
        self._begin_drain(why)
        with contextlib.suppress(Unreachable):
            self._guarded(lambda: self._control.drain(self._me.credential))

    def _begin_drain(self, why: str) -> None:
        self._is_draining = True
        self._beat_at = 0.0
        self._say(why)

    def _report(self, state: str | None = None) -> dict[str, Any]:
        node_id = self._node.node_id if self._node else None
        state = state or self._agent_state()
        slots = [
            {"slot": slot["slot"], "state": "ready" if node_id else "down"}
            for slot in self._me.application["capabilities"]["slots"]
        ]
        devices = self._meter.read()  # which asks for the processor's load, and only who asks first since the last time learns it
        available_gib = round(psutil.virtual_memory().available / GIB, 2)
        metrics = {"cpu_percent": devices[0]["utilisation_percent"], "memory_available_gib": available_gib}
        holding = {"holding": self._holding.report()} if self._holding else {}
        return {
            "ray_node_id": node_id, "state": state, "slots": slots, "metrics": metrics, "devices": devices, **holding,
            **self._from_afar.report(),
        }  # fmt: skip
