"""What a killed `fabric up` leaves behind: recorded while it runs, ended by the next start on the same home.

Only what is ours is ended: processes recorded with pid *and* start time in this boot of the machine, what remains in the
sessions that they led, and processes whose environment carries the random id of that run. Never anything by name.
"""

import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from fabric.local.assembly import TEMP_PARENT, TEMP_PREFIX
from fabric.local.home import Home
from fabric.local.processes import Mark, boot_id, end, family, marked_with_run

STATE = "processes"
POSTGRES = "postgres"
POSTGRES_PATIENCE_S = 30.0


def record(home: Home, *, run_id: str, temp_dirs: Sequence[Path], parts: Mapping[str, Sequence[Mark]]) -> None:
    """Write down every process of the running fabric."""
    home.write_state(
        STATE,
        {
            "boot_id": boot_id(),
            "run_id": run_id,
            "pid": os.getpid(),
            "temp_dirs": [str(temp_dir) for temp_dir in temp_dirs],
            "parts": {name: [[m.pid, m.started] for m in marks] for name, marks in parts.items()},
        },
    )


def recorded(home: Home) -> dict[str, list[Mark]]:
    """The living processes that were recorded, by part."""
    state = home.read_state(STATE)
    if state.get("boot_id") != boot_id():
        return {}
    return {
        name: [m for pid, started in marks if (m := Mark(int(pid), int(started))).is_alive()]
        for name, marks in state.get("parts", {}).items()
    }


def end_orphans(home: Home) -> dict[str, int]:
    """End what an earlier, killed run on this home left: how many processes of each part. The caller holds the home's lock."""
    state = home.read_state(STATE)
    ended: dict[str, int] = {}
    if state.get("boot_id") == boot_id():
        everything = {
            name: [Mark(int(pid), int(started)) for pid, started in marks] for name, marks in state.get("parts", {}).items()
        }
        postgres = everything.pop(POSTGRES, [])
        for name, marks in everything.items():
            ended[name] = _end_family(marks)
        ended["others"] = _end_family(_unrecorded(str(state.get("run_id", "")), postgres))
        ended[POSTGRES] = _end_postgres(postgres)
    for temp_dir in map(Path, state.get("temp_dirs", [])):
        if temp_dir.parent == TEMP_PARENT and temp_dir.name.startswith(TEMP_PREFIX) and not temp_dir.is_symlink():
            shutil.rmtree(temp_dir, ignore_errors=True)
    home.drop_state(STATE)
    return {name: count for name, count in ended.items() if count}


def _unrecorded(run_id: str, postgres: Sequence[Mark]) -> list[Mark]:
    if not run_id:
        return []
    return [m for m in marked_with_run(run_id) if m not in postgres]


def _end_family(marks: Sequence[Mark]) -> int:
    members = family(marks)
    end(members)
    end(left := family(marks))  # what was born in between
    return len({*members, *left})


def _end_postgres(marks: Sequence[Mark]) -> int:
    """SIGINT to the postmaster is its fast shutdown; SIGTERM would wait for clients."""
    if not marks:
        return 0
    members = family(marks)
    end([m for m in marks[:1] if m.is_alive()], patience_s=POSTGRES_PATIENCE_S, signal_number=signal.SIGINT)
    end(family(marks))
    return len(members)
