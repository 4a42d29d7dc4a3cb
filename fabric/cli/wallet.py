"""The commands `fabric wallet …`."""

import json
from typing import Annotated

import typer

from fabric.cli.printing import console, show
from fabric.cli.reach import AsJson, connect

app = typer.Typer(help="Balance, entries, top-ups, refunds, payouts.", no_args_is_help=True)


@app.command("show")
def wallet_show() -> None:
    """Available, held and earned."""
    with connect() as client:
        console.print_json(json.dumps(client.wallet.balance()))


@app.command("entries")
def wallet_entries(limit: int = 20, as_json: AsJson = False) -> None:
    """The ledger's lines on your wallet, newest first."""
    with connect() as client:
        found = client.wallet.entries(limit=limit)
    columns = {
        "at": lambda e: e["created_at"], "kind": lambda e: e["kind"], "USD": lambda e: e["amount"]["usd"],
        "balance USD": lambda e: (e.get("balance") or {}).get("usd", ""), "job": lambda e: e.get("job_id") or "",
    }  # fmt: skip
    show(found, columns, as_json)


@app.command("top-up")
def wallet_top_up(usd: str) -> None:
    """Put money in (play money while the fabric has no Stripe keys)."""
    with connect() as client:
        console.print_json(json.dumps(client.wallet.top_up(usd)))


@app.command("refund")
def wallet_refund(usd: Annotated[str | None, typer.Argument(help="Whole cents; left out: all that can go back.")] = None) -> None:
    """Have unspent credit sent back to the payments it came from."""
    with connect() as client:
        console.print_json(json.dumps(client.wallet.refund(usd)))


@app.command("onboard")
def wallet_onboard(return_url: Annotated[str, typer.Argument(help="Where the form sends you afterwards.")]) -> None:
    """A link to where you complete the account that your earnings are paid out to; then what is still missing."""
    with connect() as client:
        console.print(client.wallet.onboarding_url(return_url), soft_wrap=True, markup=False)
        console.print_json(json.dumps(client.wallet.payout_account()))


@app.command("payout")
def wallet_payout(usd: Annotated[str | None, typer.Argument(help="Whole cents; left out: everything.")] = None) -> None:
    """Have matured earnings paid out."""
    with connect() as client:
        console.print_json(json.dumps(client.wallet.payout(usd)))
