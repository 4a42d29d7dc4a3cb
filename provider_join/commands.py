"""The words after `provider-join`: doctor, status, why, pause, resume, drain, service and log, for the agent of one home.

Exit codes: 0 done, 1 something is to be mended, 2 command line, 7 no agent runs from this home.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from provider_join import autostart, doctor, status
from provider_join.channel import ask
from provider_join.config import EXIT_NOT_RUNNING, Home, Options, Stop, home_path, read_options
from provider_join.records import Record, is_fine, table_of
from provider_join.work_log import follow_log, line_for_people, read_log

WATCH_S = 2.0
LOG_LINES = 20
_console = Console(highlight=False, soft_wrap=True)


def run(name: str, words: list[str]) -> int:
    """Do one of COMMANDS; the exit code.

    Raises:
        Stop: it cannot be done; the message says why.
    """
    return COMMANDS[name](words)


def _parser(name: str, about: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"provider-join {name}", description=about)
    parser.add_argument("--home", type=Path, help="the agent's folder (or FABRIC_PROVIDER_HOME)")
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser


def _home(given: Path | None) -> Home:
    """The folder of an agent that was started at least once.

    Raises:
        Stop: there is none; nothing is made.
    """
    path = home_path(given)
    if not path.is_dir():
        raise Stop(f"There is no {path}: no agent was ever started from it. Name its folder with --home.", EXIT_NOT_RUNNING)
    return Home(path)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=1) + "\n")


def _show(records: list[Record], *, as_json: bool) -> int:
    if as_json:
        _print_json([record.shown() for record in records])
    else:
        _console.print(table_of(records), soft_wrap=False)
    return 0 if is_fine(records) else 1


# ── the agent that runs ──────────────────────────────────────────────────────────────────────────────────────────────


def _pause(words: list[str]) -> int:
    given = _parser("pause", "Take no new work, over restarts too, until `resume`. What runs is finished.").parse_args(words)
    state = ask(_home(given.home).path, "pause")
    orders = state["orders_outstanding"]
    return _told(
        given,
        state,
        f"Paused: nothing new comes. {orders} orders are finished first." if orders else "Paused: nothing new comes.",
    )


def _resume(words: list[str]) -> int:
    given = _parser("resume", "Take work again. Hours and other limits hold still.").parse_args(words)
    state = ask(_home(given.home).path, "resume")
    said = "Takes work again."
    if state["state"] == "draining":
        said = "No longer paused, but it drains: it leaves when what runs is done. Start it again then."
    elif state["holding"]:
        said = f"No longer paused, but it holds back ({state['holding']['by']}): {state['holding']['detail']}."
    elif state["desired"] == "pause":
        said = "No longer paused here, but it is paused at the fabric: end that in the console or over the API."
    return _told(given, state, said)


def _drain(words: list[str]) -> int:
    given = _parser("drain", "Finish what runs, then leave the fabric; the agent ends.").parse_args(words)
    state = ask(_home(given.home).path, "drain")
    return _told(given, state, f"Drains: {state['orders_outstanding']} orders are finished, then the agent ends.")


def _told(given: argparse.Namespace, state: dict[str, Any], said: str) -> int:
    if given.json:
        _print_json(state)
        return 0
    if not state["is_in_contact"]:
        said += " The fabric does not answer now; it hears of it as soon as it does."
    _console.print(said, markup=False)
    return 0


def _status(words: list[str]) -> int:
    parser = _parser("status", "What this machine does and has earned.")
    parser.add_argument("--watch", action="store_true", help="again and again, until Ctrl-C")
    given = parser.parse_args(words)
    home = _home(given.home)
    options = status.options_of(home)
    facts = status.gather(home, options)
    if given.watch and not given.json:
        with Live(status.screen(facts), console=_console, auto_refresh=False) as live:
            while True:
                time.sleep(WATCH_S)
                live.update(status.screen(status.gather(home, options)), refresh=True)
    while given.json:
        _print_json(facts)
        if not given.watch:
            return 0
        sys.stdout.flush()
        time.sleep(WATCH_S)
        facts = status.gather(home, options)
    _console.print(status.screen(facts), soft_wrap=False)
    return 0


def _why(words: list[str]) -> int:
    given = _parser("why", "Why this machine earns nothing: from facts here and at the fabric.").parse_args(words)
    home = _home(given.home)
    return _show(status.reasons(home, status.options_of(home)), as_json=given.json)


# ── the machine ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _doctor(words: list[str]) -> int:
    is_json = "--json" in words
    return _show(doctor.examine(_start_options([word for word in words if word != "--json"])), as_json=is_json)


def _service(words: list[str]) -> int:
    if not words or words[0] not in {"install", "remove"}:
        raise Stop("provider-join service install|remove [--home …] [the options of provider-join]", 2)

    def say(text: str) -> None:
        _console.print(text, markup=False)

    if words[0] == "remove":
        return autostart.remove(_home(_parser("service remove", "Start no agent by itself.").parse_args(words[1:]).home), say)
    options = _start_options(words[1:])
    return autostart.install(options, Home(options.home), say)


def _start_options(words: list[str]) -> Options:
    """Options of a start, where what is left out is as at the last start from that home.

    Raises:
        Stop: something on the command line cannot be right.
    """
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--home", type=Path)
    path = home_path(finder.parse_known_args(words)[0].home)
    kept = Home(path).settings().get("start", []) if path.is_dir() else []
    return read_options([*kept, *words])


def _log(words: list[str]) -> int:
    parser = _parser("log", "Everything that ran on this machine: one line for each order, nothing of what was in it.")
    parser.add_argument("--follow", action="store_true", help="go on with what comes, until Ctrl-C")
    parser.add_argument("--lines", type=int, default=LOG_LINES, help=f"how many to begin with (default: {LOG_LINES})")
    given = parser.parse_args(words)
    if given.lines < 0:
        raise Stop("--lines is 0 or more.", 2)
    home = _home(given.home)

    def show(entry: dict[str, Any]) -> None:
        sys.stdout.write((json.dumps(entry) if given.json else line_for_people(entry)) + "\n")
        sys.stdout.flush()

    for entry in read_log(home.work_log, given.lines):
        show(entry)
    if given.follow:
        for entry in follow_log(home.work_log):
            show(entry)
    elif not home.work_log.exists() and not given.json:
        _console.print("Nothing ran here yet.")
    return 0


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "doctor": _doctor, "status": _status, "why": _why, "pause": _pause, "resume": _resume, "drain": _drain, "service": _service,
    "log": _log,
}  # fmt: skip
