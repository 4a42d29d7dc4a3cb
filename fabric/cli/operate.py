"""The operator's commands: `fabric operator …`, `fabric token …`, `fabric ledger …`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fabric.cli.commands import Commands, manner
from fabric.cli.printing import show_prices, tell
from fabric.cli.reach import connect_as_operator, server_module

operator_app = Commands(help="For the operator: commission and device prices.", no_args_is_help=True)
token_app = Commands(help="For the operator: the cluster's token.", no_args_is_help=True)
ledger_app = Commands(help="For the operator: are the books right?", no_args_is_help=True)


@operator_app.command("prices")
def operator_prices() -> None:
    """Commission, device table, demand factors, and the latest decisions with who and why."""
    with connect_as_operator() as client:
        _tell_prices(client.prices.decided())


@operator_app.command("set-prices")
def operator_set_prices(
    reason: Annotated[str, typer.Option(help="Why; kept for ever.")],
    commission_bps: Annotated[int | None, typer.Option(help="The platform's part, in basis points.")] = None,
    devices: Annotated[
        Path | None, typer.Option(help="JSON: the whole device table, as `prices --json` prints it.", exists=True)
    ] = None,
    effective_at: Annotated[str | None, typer.Option("--from", help="RFC 3339; left out: now.")] = None,
) -> None:
    """Change commission or device table for jobs that are submitted from then on; on the fabric's own machine no key is needed."""
    given = None if devices is None else json.loads(devices.read_text())
    table = given["devices"] if given and isinstance(given.get("devices"), dict) else given
    with connect_as_operator() as client:
        _tell_prices(client.prices.decide(reason, commission_bps=commission_bps, devices=table, effective_at=effective_at))


def _tell_prices(found: dict[str, Any]) -> None:
    if manner.as_json:
        tell(found)
    else:
        show_prices(found)


@token_app.command("rotate")
def token_rotate() -> None:
    """Give the cluster another token, on the machine where `fabric up` runs; says how long the endpoint was away."""
    module = server_module("fabric.local.operate")
    raise typer.Exit(module.run_token_rotation(as_json=manner.as_json))


@ledger_app.command("audit")
def ledger_audit() -> None:
    """Every invariant of the books; exit code 1 when one is broken."""
    module = server_module("fabric.local.audit")
    raise typer.Exit(module.run_audit(as_json=manner.as_json))


@ledger_app.command("reconcile")
def ledger_reconcile(
    days: Annotated[int, typer.Option(help="Compare what is younger; 0: everything.")] = 30,
) -> None:
    """Compare the ledger with Stripe, balance transaction by balance transaction; exit code 1 when they differ."""
    module = server_module("fabric.local.reconcile")
    raise typer.Exit(module.run_reconciliation(days or None, as_json=manner.as_json))


@ledger_app.command("correct")
def ledger_correct(
    lines: Annotated[
        list[str], typer.Argument(help="`D platform:goodwill 1.50`, `C requestor:usr_…:available 1.50`: they balance.")
    ],
    operator: Annotated[str, typer.Option(help="Who you are.")],
    reason: Annotated[str, typer.Option(help="Why; kept for ever.")],
    key: Annotated[str, typer.Option(help="Names this correction; the same key again is the same one.")],
) -> None:
    """Post a correction, as the owner of the database."""
    module = server_module("fabric.local.correct")
    raise typer.Exit(module.run_correction(lines, key=key, operator=operator, reason=reason, as_json=manner.as_json))
