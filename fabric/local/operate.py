"""Commands of the operator on the machine where the fabric runs: how to reach it as operator, and `fabric token rotate`."""

import json
from pathlib import Path

from rich.console import Console

from fabric.core.settings import default_home
from fabric.local import control_socket
from fabric.local.bootstrap import OPERATOR
from fabric.local.control_socket import ActFailed, NotRunning
from fabric.local.home import Home, is_running
from fabric.local.rotation import ROTATE, Rotation, renew_token


def operator_connection(home: Path | None = None) -> dict[str, str]:
    """URL and key of the operator of the fabric that runs here, for `Client`; empty when none does, or its key is not ours to read."""
    where = Home((home or default_home()).absolute())
    if not is_running(where):
        return {}
    key = where.secret(f"{OPERATOR}.api-key", make=False)
    port = where.read_state("ports").get("serve")
    return {"url": f"http://127.0.0.1:{port}", "api_key": key} if key and port else {}


def run_token_rotation(home: Path | None = None, *, as_json: bool = False) -> int:
    """Change the Ray token of this home's fabric and print what it took; the exit code."""
    console = Console(highlight=False, soft_wrap=True, stderr=as_json)
    where = Home((home or default_home()).absolute())
    if not is_running(where):
        if not where.secrets.exists():
            console.print(f"There is no fabric in {where.path}.", markup=False)
            return 1
        renew_token(where)
        console.print("No fabric runs here. The next start uses a new token; enrolled machines get it by themselves.")
        return 0
    try:
        done = control_socket.ask(where, ROTATE, lambda line: console.print(f"  {line}", markup=False))
    except (NotRunning, ActFailed) as error:
        console.print(f"The token could not be changed: {error}", markup=False, style="red")
        return 1
    if as_json:
        print(json.dumps(done))
    else:
        console.print(in_words(Rotation(**done)))
    return 0


def in_words(rotation: Rotation) -> str:
    """What people want to know of a rotation."""
    machines = (
        f"{rotation.machines_back} of {rotation.machines_before} machines were back after {rotation.machines_back_s:.1f} s"
        if rotation.machines_before
        else "machines come back by themselves"
    )
    return (
        f"The cluster has another token. The endpoint was away for {rotation.endpoint_back_s:.1f} s; {machines}.\n"
        "Jobs went on from Postgres: what was running is done again, nothing that was acknowledged is lost."
    )
