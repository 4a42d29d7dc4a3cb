"""`python -m tests.attack [pytest arguments]`: runs the suite in namespaces of its own, of which nothing is left afterwards."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.attack.machines import UNSHARE, private_view

INSIDE = "FABRIC_ATTACK_FOLDER"  # what lies at /tmp inside
ROOT = Path(__file__).parents[2]


def outside(arguments: list[str]) -> int:
    """Make the namespaces, run the suite in them, remove its files unless it failed. Killed, it takes all of them along."""
    if os.geteuid() != 0:
        print("The attack suite makes network namespaces and machines of other users: it needs root.", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="fabric-attack-"))
    folder.chmod(0o1777)
    command = ["setpriv", "--pdeathsig=KILL", *UNSHARE, sys.executable, "-m", "tests.attack", *arguments]
    status = subprocess.run(command, env={**os.environ, INSIDE: str(folder)}, cwd=ROOT, check=False).returncode
    if status and any(folder.iterdir()):
        print(f"what was in /tmp inside is kept in {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return status


def inside(folder: Path, arguments: list[str]) -> int:
    """Give this view of the machine a /tmp of its own, then run pytest as a child: process 1 only waits for it."""
    private_view({"/tmp": folder, "/dev/shm": None})
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    environment = {name: value for name, value in os.environ.items() if name not in (INSIDE, "TMPDIR")}
    chosen = (
        arguments
        if any(not a.startswith("-") and Path(a.split("::")[0]).exists() for a in arguments)
        else ["tests/attack", *arguments]
    )
    pytest = [sys.executable, "-m", "pytest", "-m", "attack", "-p", "no:randomly", "-p", "no:cacheprovider", *chosen]
    return subprocess.run(pytest, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    inner = os.environ.get(INSIDE)
    sys.exit(inside(Path(inner), sys.argv[1:]) if inner else outside(sys.argv[1:]))
