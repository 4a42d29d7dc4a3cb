"""What this machine does and has earned, as its owner sees it: the agent's own word, the fabric's, and the log of what ran."""

import time
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from provider_join import doctor
from provider_join.api import ControlPlane, Refused, Unreachable
from provider_join.channel import ask
from provider_join.config import Home, Options, Stop
from provider_join.records import MEND, NOTE, OK, Record, record_of
from provider_join.sensors import Sensors
from provider_join.trust import trust_of
from provider_join.work_log import line_for_people, read_log

RECENT = 5
SILENT_S = 15.0
NOT_SERVED = "this fabric does not tell"
LIMIT_WORDS = {
    "hours": "{}", "max_power_w": "{:g} W", "max_temperature_c": "{:g} °C", "max_memory_gib": "{:g} GiB of memory",
    "max_bandwidth_mbit": "{:g} Mbit/s", "max_disk_gib": "{:g} GiB of disk",
}  # fmt: skip


def gather(home: Home, options: Options | None) -> dict[str, Any]:
    """Everything that `status` shows.

    Raises:
        Stop: no agent runs from this home.
    """
    state = ask(home.path, "state")
    facts = Sensors().look(use=False)
    return {
        **state, "temperature_c": facts.temperature_c, "power_w": facts.power_w, "earnings": earnings(home, options),
        "recent": read_log(home.work_log, RECENT),
    }  # fmt: skip


def earnings(home: Home, options: Options | None) -> dict[str, Any]:
    """What the fabric says this machine earned; `error` where it does not."""
    return _told(home, options, "earnings")


def reasons(home: Home, options: Options | None) -> list[Record]:
    """Why this machine earns nothing: what stands in the way here, then what the fabric knows."""
    records = local_records(home)
    answer = _told(home, options, "reasons")
    if "error" in answer:
        return [
            *records,
            Record("fabric", NOTE, f"why it sends no work: {answer['error']}", "", "see the console of your fabric"),
        ]
    return [*records, *(record_of(entry) for entry in answer.get("reasons", ()))]


def local_records(home: Home) -> list[Record]:
    """What this machine knows by itself."""
    try:
        state = ask(home.path, "state")
    except Stop as stop:
        return [Record("agent", MEND, str(stop), "an agent that runs", "start it, or `provider-join service install`")]
    is_up = state["state"] == "running"
    node = Record(
        "agent", OK if is_up else MEND, f"the agent is {state['state']}", "running", "see what it says, or run `doctor`"
    )
    age_s = time.time() - state["last_contact_at"]
    is_heard = state["is_in_contact"] and age_s < SILENT_S
    contact = Record(
        "contact", OK if is_heard else MEND, f"the fabric answered {age_s:.0f} s ago", f"within {SILENT_S:.0f} s",
        "`provider-join doctor` looks at the way",
    )  # fmt: skip
    return [node, contact, holding_record(state["holding"]), *_clock(state["url"], home)]


def holding_record(holding: dict[str, Any] | None) -> Record:
    """Pure: whether this machine wants work, by its own word."""
    if holding is None:
        return Record("holding", OK, "this machine wants work")
    remedy = {
        "owner": "provider-join resume", "schedule": "start it with other --hours, or --hours always",
        "idle": "leave it alone, or start it with --no-idle-only",
    }.get(holding["by"], f"cool it, or start it with a higher --max-{holding['by']}-…")  # fmt: skip
    until = f", until {_moment(holding['until'])}" if holding["until"] else ""
    return Record("holding", MEND, f"{holding['by']}: {holding['detail']}{until}", "a machine that wants work", remedy)


def _clock(url: str, home: Home) -> list[Record]:
    options = options_of(home, url)
    return [record for record in doctor.fabric_records(options) if record.id == "clock"] if options else []


def options_of(home: Home, url: str | None = None) -> Options | None:
    """How the last start reached the fabric; None when there was none."""
    kept = home.settings()
    if not (url := url or kept.get("url")):
        return None
    ca_file = Path(kept["ca_file"]) if kept.get("ca_file") else None
    return Options(
        url, None, "", home.path, None, None, None, "unknown", False, ca_file=ca_file, fingerprint=kept.get("fingerprint"),
        allow_plaintext=bool(kept.get("allow_plaintext")),
    )  # fmt: skip


def _told(home: Home, options: Options | None, part: str) -> dict[str, Any]:
    me = home.credential()
    if options is None or me is None:
        return {"error": "this machine has not joined a fabric yet"}
    try:
        control = ControlPlane(options.url, trust_of(options))
    except Stop as stop:
        return {"error": str(stop)}
    try:
        return control.look(me, part) or {"error": NOT_SERVED}
    except (Unreachable, Refused, Stop) as error:
        return {"error": str(error)}
    finally:
        control.close()


# ── the screen ───────────────────────────────────────────────────────────────────────────────────────────────────────


def screen(facts: dict[str, Any]) -> Panel:
    """All of it, for a terminal."""
    table = Table.grid(padding=(0, 2))
    for name, value in rows(facts):
        table.add_row(Text(name, "bold"), Text(value))
    recent = [Text(line_for_people(entry, with_order=False), "dim") for entry in facts["recent"]]
    title = f"{escape(facts['name'])} at {escape(facts['url'])}"
    return Panel(Group(table, Text(), *(recent or [Text("nothing ran here yet", "dim")])), title=title, title_align="left")


def rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Pure but for the time zone: name and value of each line."""
    holding = facts["holding"]
    state = f"holds back ({holding['by']}): {holding['detail']}" if holding and facts["state"] == "running" else facts["state"]
    if holding and holding["until"]:
        state += f", until {_moment(holding['until'])}"
    elif facts["desired"] == "pause":
        state += ", paused at the fabric"
    contact = _clock_time(facts["last_contact_at"])
    earned = facts["earnings"]
    today = earned.get("error", NOT_SERVED)
    if isinstance(earned.get("today"), dict):
        today = f"{earned['today']['usd']} USD{'' if earned.get('livemode', True) else ' (play money)'}"
    readings = [
        f"{facts[name]:.0f} {unit}" for name, unit in (("temperature_c", "°C"), ("power_w", "W")) if facts[name] is not None
    ]
    return [
        ("state", state),
        ("runs now", f"{facts['orders_outstanding']} orders on {len(facts['slots'])} slots"),
        ("earned today", str(today)),
        ("machine", ", ".join(readings) or "tells neither temperature nor power"),
        ("last contact", contact if facts["is_in_contact"] else f"{contact}; the fabric does not answer now"),
        ("schedule", _schedule(facts)),
        ("limits", limits_in_words(facts["limits"])),
        ("running since", _clock_time(facts["running_since"])),
        ("machine id", f"{facts['provider_id']}, version {facts['agent_version']}"),
    ]


def _schedule(facts: dict[str, Any]) -> str:
    said = facts["limits"]["hours"] or "always"
    if facts.get("schedule_from_afar"):
        said += ", set from afar"
    if refused := facts.get("schedule_refused"):
        said += f"; another one that was set from afar cannot be kept here: {refused}"
    return said


def limits_in_words(limits: dict[str, Any]) -> str:
    """Pure: what the owner allows."""
    said = [words.format(limits[name]) for name, words in LIMIT_WORDS.items() if name != "hours" and limits[name] is not None]
    if limits["idle_only"]:
        said.append(f"after {limits['idle_minutes']:g} quiet minutes only")
    return ", ".join(said) or "none"


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone():%a %H:%M}"


def _clock_time(epoch_s: float) -> str:
    return f"{datetime.fromtimestamp(epoch_s).astimezone():%Y-%m-%d %H:%M:%S}"
