"""The commands `fabric wallet …`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fabric.cli.commands import Commands
from fabric.cli.printing import GONE, dollars, show, tell, tell_record, usd, write_bytes
from fabric.cli.reach import connect

app = Commands(help="Balance, entries, limits, top-ups, refunds, payouts, statements.", no_args_is_help=True)

FIELDS = {
    "available": lambda w: usd(w["available"]), "held by jobs": lambda w: usd(w["held"]),
    "promotional": lambda w: usd(w["promotional"]) + " of the available",
    "earned": lambda w: f"{usd(w['earned_available'])} to be paid out, {usd(w['earned_pending'])} maturing",
    "status": lambda w: w["status"], "money": lambda w: "real" if w["livemode"] else "play money",
}  # fmt: skip
PAYOUT_ACCOUNT = {
    "status": lambda a: a["status"], "still missing": lambda a: ", ".join(map(str, a["requirements"])),
    "to be paid out": lambda a: f"{usd(a['available'])}, at least {usd(a['payout_min'])} at once", "maturing": lambda a: usd(a["pending"]),
    "on the way": lambda a: usd(a["in_transit"]), "schedule": lambda a: a["schedule"],
}  # fmt: skip
PAYOUT = {
    "id": lambda p: p["id"], "USD": lambda p: dollars(p["amount"]), "status": lambda p: p["status"],
    "failure": lambda p: p["failure"] or GONE, "created": lambda p: p["created_at"], "finished": lambda p: p["finished_at"] or GONE,
}  # fmt: skip
REFUND = {
    "id": lambda r: r["id"], "USD": lambda r: dollars(r["amount"]), "status": lambda r: r["status"],
    "failure": lambda r: r["failure"] or GONE, "created": lambda r: r["created_at"],
}  # fmt: skip


@app.command("show")
def wallet_show() -> None:
    """Available, held and earned."""
    with connect() as client:
        tell_record(client.wallet.balance(), FIELDS)


@app.command("entries")
def wallet_entries(limit: Annotated[int, typer.Option(min=1, max=200)] = 20) -> None:
    """The ledger's lines on your wallet, newest first."""
    with connect() as client:
        found = client.wallet.entries(limit=limit)
    columns = {
        "at": lambda e: e["created_at"], "kind": lambda e: e["kind"], "USD": lambda e: dollars(e["amount"]),
        "balance USD": lambda e: dollars(e.get("balance")), "job": lambda e: e.get("job_id") or "",
    }  # fmt: skip
    show(found, columns)


@app.command("top-up")
def wallet_top_up(amount_usd: Annotated[str, typer.Argument(metavar="USD")]) -> None:
    """Put money in (play money while the fabric has no Stripe keys)."""
    with connect() as client:
        begun = client.wallet.top_up(amount_usd)
    tell(begun, begun["url"] or f"{usd(begun['amount'])} of play money are yours")


@app.command("refund")
def wallet_refund(
    amount_usd: Annotated[str | None, typer.Argument(metavar="USD", help="Whole cents; left out: all that can go back.")] = None,
) -> None:
    """Have unspent credit sent back to the payments it came from."""
    with connect() as client:
        show(client.wallet.refund(amount_usd), REFUND)


@app.command("refunds")
def wallet_refunds(limit: Annotated[int, typer.Option(min=1, max=200)] = 20) -> None:
    """Your refunds, newest first."""
    with connect() as client:
        show(client.wallet.refunds(limit=limit), REFUND)


@app.command("limits")
def wallet_limits(
    day_usd: Annotated[str | None, typer.Option("--day", help="Spend no more in a day; `none` takes the limit away.")] = None,
    job_usd: Annotated[str | None, typer.Option("--job", help="The same for a job.")] = None,
) -> None:
    """Your own spending limits: show them, or set what is given."""
    given = {name: None if value == "none" else value for name, value in (("day_usd", day_usd), ("job_usd", job_usd)) if value}
    with connect() as client:
        limits: dict[str, Any] = client.wallet.set_limits(**given) if given else client.wallet.limits()
    tell_record(limits, {"a day": lambda x: usd(x["day"]) or "no limit", "a job": lambda x: usd(x["job"]) or "no limit"})


@app.command("onboard")
def wallet_onboard(return_url: Annotated[str, typer.Argument(help="Where the form sends you afterwards.")]) -> None:
    """A link to where you complete the account that your earnings are paid out to; then what is still missing."""
    with connect() as client:
        url = client.wallet.onboarding_url(return_url)
        account = client.wallet.payout_account()
    missing = ", ".join(map(str, account["requirements"]))
    tell({"url": url, **account}, url + (f"\nstill missing: {missing}" if missing else ""))


@app.command("payout-account")
def wallet_payout_account(
    weekly: Annotated[bool | None, typer.Option("--weekly/--on-request", help="Change when you are paid.")] = None,
) -> None:
    """Where earnings go, what is still missing there, and how much there is."""
    with connect() as client:
        tell_record(client.wallet.payout_account() if weekly is None else client.wallet.pay_weekly(weekly), PAYOUT_ACCOUNT)


@app.command("payout")
def wallet_payout(
    amount_usd: Annotated[str | None, typer.Argument(metavar="USD", help="Whole cents; left out: everything.")] = None,
) -> None:
    """Have matured earnings paid out."""
    with connect() as client:
        tell_record(client.wallet.payout(amount_usd), PAYOUT)


@app.command("payouts")
def wallet_payouts(limit: Annotated[int, typer.Option(min=1, max=200)] = 20) -> None:
    """Your payouts, newest first."""
    with connect() as client:
        show(client.wallet.payouts(limit=limit), PAYOUT)


@app.command("statement")
def wallet_statement(
    month: Annotated[str, typer.Argument(help="Such as 2026-07.")],
    output: Annotated[Path | None, typer.Argument(help="A .csv or .pdf to write; left out: printed as JSON.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace a file that is there.")] = False,
) -> None:
    """What your machines earned in a month."""
    kind = "json" if output is None else output.suffix.lower().removeprefix(".")
    if kind not in {"json", "csv", "pdf"}:
        raise ValueError(f"{output} is neither .csv nor .pdf")
    with connect() as client:
        found = client.wallet.statement(month, format=kind)
    if output is None:
        tell(found)
    else:
        write_bytes(found, output, overwrite=overwrite)
