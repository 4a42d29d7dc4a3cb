"""Lets the agent start by itself: a systemd user unit, a launchd agent, or a task of Windows' Task Scheduler.

What is written names the exact interpreter and home and holds no secret: the machine has its credential by then, in the home. An
upgrade moves the interpreter, so the newer agent writes the file again. Tried on Linux; launchd and Task Scheduler are untried by us.
"""

import hashlib
import plistlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from provider_join.config import EXIT_REFUSED, EXIT_RUNNING, EXIT_VERSIONS, Home, Options, Stop
from provider_join.from_afar import keep_said
from provider_join.install import default_home
from provider_join.limits import kept_limits

RESTART_S = 10
STOP_TIMEOUT_S = 90
"""What runs is finished before the agent ends; an order takes about a second."""
COMMAND_TIMEOUT_S = 30.0
NO_RESTART = (2, EXIT_REFUSED, EXIT_VERSIONS, EXIT_RUNNING)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write where, and which commands make it known; each `undo` likewise."""

    file: Path
    content: bytes
    commands: tuple[tuple[str, ...], ...]
    undo: tuple[tuple[str, ...], ...]
    logs: str  # how to see what the agent says
    hint: str


def command_of(options: Options) -> list[str]:
    """Pure but for the interpreter's place: how the agent is started, without its token."""
    return [sys.executable, "-m", "provider_join", *words_of(options), "--home", str(options.home)]


def words_of(options: Options) -> list[str]:
    """Pure: the options of a start that its home does not keep in another way; no token, and no price, which has changed since."""
    words = ["--url", options.url, "--name", options.name]
    for option, value in (
        ("--slots", options.slots), ("--threads", options.threads), ("--ca-file", options.ca_file),
        ("--fingerprint", options.fingerprint), ("--region", None if options.region == "unknown" else options.region),
        ("--without", ",".join(options.without) or None), ("--prefer", ",".join(options.prefer) or None),
    ):  # fmt: skip
        if value is not None:
            words += [option, str(value)]
    return words + (["--allow-plaintext"] if options.allow_plaintext else [])


def plan_for(platform: str, command: list[str], home: Path, user_home: Path) -> Plan:
    """Pure: what this platform needs."""
    suffix = "" if home == default_home() else f"-{hashlib.sha256(str(home).encode()).hexdigest()[:8]}"
    if platform == "darwin":
        return _launchd(f"fabric.provider-join{suffix}", command, home, user_home)
    if platform == "win32":
        return _scheduler(f"Fabric provider{suffix}", command, home)
    return _systemd(f"provider-join{suffix}.service", command, user_home)


def _systemd(name: str, command: list[str], user_home: Path) -> Plan:
    text = f"""\
# Written by `provider-join service install`; `provider-join service remove` takes it away.
[Unit]
Description=Lends this machine to a fabric
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={" ".join(_systemd_word(word) for word in command)}
Restart=on-failure
RestartSec={RESTART_S}
RestartPreventExitStatus={" ".join(map(str, NO_RESTART))}
KillMode=mixed
TimeoutStopSec={STOP_TIMEOUT_S}
Nice=10

[Install]
WantedBy=default.target
"""
    systemctl = ("systemctl", "--user")
    return Plan(
        user_home / ".config/systemd/user" / name, text.encode(),
        ((*systemctl, "daemon-reload"), (*systemctl, "enable", "--now", name)),
        ((*systemctl, "disable", "--now", name), (*systemctl, "daemon-reload")),
        f"journalctl --user -u {name} -f",
        "It runs while you are logged in; `loginctl enable-linger` lets it run from the start of the machine on.",
    )  # fmt: skip


def _launchd(name: str, command: list[str], home: Path, user_home: Path) -> Plan:
    log = str(home / "logs" / "agent.log")
    content: dict[str, Any] = {
        "Label": name, "ProgramArguments": command, "RunAtLoad": True, "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": RESTART_S, "ExitTimeOut": STOP_TIMEOUT_S, "ProcessType": "Background",
        "StandardOutPath": log, "StandardErrorPath": log,
    }  # fmt: skip
    file = user_home / "Library/LaunchAgents" / f"{name}.plist"
    return Plan(
        file, plistlib.dumps(content), (("launchctl", "load", "-w", str(file)),), (("launchctl", "unload", "-w", str(file)),),
        f"tail -f {log}", "It runs while you are logged in.",
    )  # fmt: skip


def _scheduler(name: str, command: list[str], home: Path) -> Plan:
    text = f"""\
<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <Triggers><LogonTrigger><Enabled>true</Enabled></LogonTrigger></Triggers>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <RestartOnFailure><Interval>PT1M</Interval><Count>999</Count></RestartOnFailure>
  </Settings>
  <Actions><Exec>
    <Command>{escape(command[0])}</Command>
    <Arguments>{escape(subprocess.list2cmdline(command[1:]))}</Arguments>
  </Exec></Actions>
</Task>
"""
    file = home / "task.xml"
    return Plan(
        file, text.encode("utf-16"), (("schtasks", "/Create", "/F", "/TN", name, "/XML", str(file)), ("schtasks", "/Run", "/TN", name)),
        (("schtasks", "/End", "/TN", name), ("schtasks", "/Delete", "/F", "/TN", name)),
        f"provider-join log --follow --home {home}", "It runs while you are logged in.",
    )  # fmt: skip


def _systemd_word(word: str) -> str:
    if "\n" in word:
        raise Stop("A line break cannot stand in a unit; give the machine another --name or --home.", 2)
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def install(options: Options, home: Home, say: Say) -> int:
    """Write it and make it known; 0 when the agent will start by itself.

    Raises:
        Stop: this machine has not joined yet, so it would start without a credential.
    """
    if home.credential() is None:
        raise Stop("Join first: start `provider-join --url … --token …` once. Then what starts by itself needs no token.", 2)
    is_running = home.is_locked()
    command = command_of(options)
    plan = plan_for(sys.platform, command, options.home, Path.home())
    _write(plan)
    home.keep_settings(service=command, limits=asdict(replace(kept_limits(home), **options.limits)))
    keep_said(home, options.limits)
    say(f"wrote {plan.file}")
    failed = [words for words in plan.commands if not _run(words, say)]
    say(f"what it says: {plan.logs}")
    say(plan.hint)
    if is_running:
        say(
            "An agent runs from this home already; what starts by itself takes over once that one has ended and you log in again."
        )
    return 1 if failed else 0


def remove(home: Home, say: Say) -> int:
    """Undo `install`; an agent that it started finishes what runs and ends."""
    plan = plan_for(sys.platform, home.settings().get("service") or [sys.executable], home.path, Path.home())
    if not plan.file.exists():
        say(f"Nothing to remove: there is no {plan.file}.")
        return 0
    failed = [words for words in plan.undo[:1] if not _run(words, say)]
    plan.file.unlink()
    say(f"removed {plan.file}")
    home.keep_settings(service=None)
    failed += [words for words in plan.undo[1:] if not _run(words, say)]
    return 1 if failed else 0


def renew(home: Home, say: Say) -> None:
    """After an upgrade: what starts by itself starts this interpreter, since the one before is removed."""
    command = home.settings().get("service")
    if not command or command[0] == sys.executable:
        return
    command = [sys.executable, *command[1:]]
    plan = plan_for(sys.platform, command, home.path, Path.home())
    if plan.file.exists():
        _write(plan)
        home.keep_settings(service=command)
        _run(plan.commands[0], say)
        say(f"{plan.file} starts the new version from now on")


def _write(plan: Plan) -> None:
    plan.file.parent.mkdir(parents=True, exist_ok=True)
    temporary = plan.file.with_name(plan.file.name + ".new")
    temporary.write_bytes(plan.content)
    temporary.replace(plan.file)


def _run(words: tuple[str, ...], say: Say) -> bool:
    shown = " ".join(words)
    if shutil.which(words[0]) is None:
        say(f"there is no {words[0]} here; where there is one, run: {shown}")
        return False
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        say(f"{shown} failed: {error}")
        return False
    say(f"ran {shown}" if done.returncode == 0 else f"{shown} failed: {(done.stderr or done.stdout).strip()}")
    return done.returncode == 0
