"""`fabric jobs watch`: a live table of jobs on a terminal, a line for each change in a pipe, a JSON object for each change with `--json`."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import typer
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fabric.cli.commands import manner
from fabric.cli.printing import GONE, console, dollars
from fabric.client import Client, Job
from fabric.client.streams import FINISHED

RECENT = 20
LOOK_S = 1.0
LOOK_AGAIN_S = 20
RATE_SPAN_S = 20.0
COLOURS = {"succeeded": "green", "failed": "red", "cancelled": "dim", "running": "cyan", "queued": "yellow"}


@dataclass
class Pace:
    """How quick a job is now: items done, looked at from time to time."""

    looks: list[tuple[float, int]] = field(default_factory=list)

    def see(self, at_s: float, items: int) -> None:
        """Take in one look; those older than the span are forgotten, but for one to measure from."""
        self.looks.append((at_s, items))
        while len(self.looks) > 2 and self.looks[1][0] <= at_s - RATE_SPAN_S:
            self.looks.pop(0)

    def per_s(self) -> float | None:
        """Items per second over the span; None as long as nothing can be said."""
        (begin_s, begun), (now_s, now) = self.looks[0], self.looks[-1]
        return (now - begun) / (now_s - begin_s) if now_s > begin_s and now > begun else None

    def left_s(self, total: int) -> float | None:
        """Seconds until all items are done at this pace."""
        rate = self.per_s()
        return (total - self.looks[-1][1]) / rate if rate else None


class Board:
    """The jobs that are watched, as last seen."""

    def __init__(self, say: Callable[[dict[str, Any]], None] | None = None) -> None:
        """Watch nothing yet; `say` hears of each job that changed."""
        self.facts: dict[str, dict[str, Any]] = {}
        self._paces: dict[str, Pace] = {}
        self._say = say

    def see(self, facts: dict[str, Any]) -> None:
        """Take in what a job is now."""
        before = self.facts.get(facts["id"])
        self.facts[facts["id"]] = facts
        self._paces.setdefault(facts["id"], Pace()).see(time.monotonic(), _items_through(facts))
        if self._say and (before is None or _what_counts(before) != _what_counts(facts)):
            self._say(facts)

    def table(self) -> Table:
        """What a terminal shows."""
        table = Table(box=None, pad_edge=False, expand=False)
        for title in ("job", "model", "status", "", "items", "items/s", "left", "USD", "waiting for"):
            table.add_column(
                title, no_wrap=title != "waiting for", justify="right" if title in {"items", "items/s", "left", "USD"} else "left"
            )
        for facts in self.facts.values():
            progress, pace = facts["progress"], self._paces[facts["id"]]
            is_going = facts["status"] not in FINISHED
            rate, left = (pace.per_s(), pace.left_s(progress["items_total"])) if is_going else (None, None)
            table.add_row(
                facts["id"], facts["model"], Text(facts["status"], COLOURS.get(facts["status"], "")),
                ProgressBar(total=max(1, progress["items_total"]), completed=_items_through(facts), width=20),
                f"{progress['items_done']}/{progress['items_total']}" + (f" ({progress['items_failed']} failed)" if progress["items_failed"] else ""),
                f"{rate:.1f}" if rate else GONE, _span(left), dollars(facts["cost"]["captured"]), facts.get("waiting_reason") or GONE,
            )  # fmt: skip
        return table


def watch_jobs(jobs: Sequence[Job]) -> list[Job]:
    """Show these jobs until all have ended; gives them as they ended.

    Ctrl-C ends the watching, not the jobs.
    """
    board = Board(_speaker())
    for job in jobs:
        board.see(job.facts)

    def look() -> bool:
        going = [job for job in jobs if job.status not in FINISHED]
        for job in going:
            # With one job the endpoint answers as soon as it ends.
            board.see(job.refresh(wait_s=1 if len(going) == 1 else 0, patience_s=LOOK_AGAIN_S).facts)
        return any(job.status not in FINISHED for job in jobs)

    _keep_looking(board, look, waits=len(jobs) > 1)
    return list(jobs)


def watch_recent(client: Client) -> None:
    """Show jobs that are not finished, and new ones as they come, until Ctrl-C."""
    board = Board(_speaker())

    def look() -> bool:
        for facts in reversed(client.jobs.list(limit=RECENT)):
            if facts["status"] not in FINISHED or facts["id"] in board.facts:
                board.see(facts)
        return True

    look()
    if not board.facts and not manner.as_json:
        console.print("No job is waiting or running; new ones appear here. Ctrl-C ends this.")
    _keep_looking(board, look, waits=True)


def _keep_looking(board: Board, look: Callable[[], bool], *, waits: bool) -> None:
    try:
        if manner.as_json or not console.is_terminal:
            while look():
                time.sleep(LOOK_S if waits else 0)
            return
        with Live(board.table(), console=console, auto_refresh=False) as live:
            is_going = True
            while is_going:
                is_going = look()
                live.update(board.table(), refresh=True)
                if is_going and waits:
                    time.sleep(LOOK_S)
    except KeyboardInterrupt:
        typer.echo("The jobs go on: fabric jobs watch", err=True)
        raise typer.Exit(130) from None


def _speaker() -> Callable[[dict[str, Any]], None] | None:
    if manner.as_json:
        return lambda facts: typer.echo(json.dumps(facts, ensure_ascii=False))
    if console.is_terminal:
        return None
    return lambda facts: typer.echo(_line(facts))


def _line(facts: dict[str, Any]) -> str:
    progress = facts["progress"]
    words = f"{facts['id']} {facts['status']}: {progress['items_done']}/{progress['items_total']} items, {dollars(facts['cost']['captured'])} USD"
    return words + (f", waiting for {facts['waiting_reason']}" if facts.get("waiting_reason") else "")


def _items_through(facts: dict[str, Any]) -> int:
    return int(facts["progress"]["items_done"] + facts["progress"]["items_failed"])


def _what_counts(facts: dict[str, Any]) -> tuple[Any, ...]:
    return facts["status"], facts.get("waiting_reason"), _items_through(facts)


def _span(seconds: float | None) -> str:
    if seconds is None:
        return GONE
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"
