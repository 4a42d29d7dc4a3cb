"""The commands `fabric quotes …` and `fabric offers`: what work would cost now, and who offers to do it."""

from pathlib import Path
from typing import Annotated

import typer

from fabric.cli.commands import Commands
from fabric.cli.jobs import Budget, Deadline, InputName, Model, Own, Price, inputs_of, options_of
from fabric.cli.printing import GONE, dollars, show, tell_record, usd
from fabric.cli.reach import connect

app = Commands(help="What work would cost and how long it would take now.", no_args_is_help=True)

FIELDS = {
    "id": lambda q: q["id"], "model": lambda q: q["model"], "items": lambda q: f"{q['items']:,}",
    "price": lambda q: f"{usd(q['price_expected'])} expected, {dollars(q['price_min'])} … {usd(q['price_max'])}",
    "held at submit": lambda q: usd(q["hold"]),
    "rate": lambda q: f"{dollars(q['rate_min'])} … {usd(q['rate_max'])} per hour"
    + (f", bound to {usd(q['rate_bound'])}" if q["rate_bound"] else GONE),
    "time": lambda q: q["seconds_expected"] is not None and f"about {q['seconds_expected']:.1f} s",
    "capacity": lambda q: f"{q['capacity']['probability']:.0%} likely, {q['capacity']['slots_free']} of {q['capacity']['slots_matching']} slots free",
    "good until": lambda q: q["expires_at"], "money": lambda q: "real" if q["livemode"] else "play money",
}  # fmt: skip


@app.command("create")
def quotes_create(
    model: Model,
    files: Annotated[list[Path] | None, typer.Argument(help="As for `jobs submit`; or --items.", exists=True)] = None,
    items: Annotated[int | None, typer.Option(min=1, help="Only how many there will be.")] = None,
    name: InputName = None,
    budget_usd: Budget = None,
    deadline_s: Deadline = None,
    max_price_usd_per_hour: Price = None,
    own_machines: Own = None,
) -> None:
    """Price work; the price binds for five minutes: fabric jobs submit --quote ID."""
    if (items is None) == (not files):
        raise ValueError("give the files, or --items, and not both")
    options = options_of(
        budget_usd=budget_usd, deadline_s=deadline_s, max_price_usd_per_hour=max_price_usd_per_hour, own_machines=own_machines
    )
    with connect() as client:
        inputs = inputs_of(files, name) if files else None
        tell_record(client.quote(model, inputs, items=items, **options), FIELDS)


@app.command("offers")
def quotes_offers(
    accelerator: Annotated[str | None, typer.Option(help="cpu, cuda, …")] = None,
    region: Annotated[str | None, typer.Option(help="Such as eu.")] = None,
) -> None:
    """Every slot that is offered, with device and price."""
    with connect() as client:
        found = client.market.offers(**options_of(accelerator=accelerator, region=region))
    columns = {
        "machine": lambda o: o["provider_name"], "slot": lambda o: o["slot"], "device": lambda o: o["device"],
        "memory": lambda o: f"{o['memory_gib']:.1f} GiB", "speed": lambda o: f"{o['speed']:.2f}",
        "USD/h": lambda o: dollars(o["price_per_hour"]), "region": lambda o: o["region"], "isolation": lambda o: o["isolation"],
        "now": lambda o: "busy" if o["is_busy"] else "free",
    }  # fmt: skip
    show(found, columns, nothing="no slot is offered right now")
