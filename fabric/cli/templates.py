"""The commands `fabric templates …`: saved work, to be submitted again under a name."""

from pathlib import Path
from typing import Annotated

import typer

from fabric.cli.commands import Commands
from fabric.cli.jobs import (
    Budget,
    Deadline,
    Detach,
    InputName,
    Labels,
    Model,
    Output,
    Price,
    follow,
    inputs_of,
    labels_of,
    options_of,
)
from fabric.cli.printing import show, tell, tell_record
from fabric.cli.reach import connect

app = Commands(help="Save what a job should be like under a name, and submit it.", no_args_is_help=True)

FIELDS = {
    "name": lambda t: t["name"], "model": lambda t: t["request"].get("model") or "given at submit",
    "inputs": lambda t: "saved" if t["request"].get("inputs") else "given at submit",
    "limits": lambda t: ", ".join(
        f"{name} {value}" for name, value in t["request"].items() if value is not None and name not in {"model", "inputs", "labels"}
    ),
    "changed": lambda t: t["updated_at"],
}  # fmt: skip


@app.command("save")
def templates_save(
    template: str,
    model: Model,
    files: Annotated[
        list[Path] | None, typer.Argument(help="Inputs to keep; left out: given at each submit.", exists=True)
    ] = None,
    name: InputName = None,
    budget_usd: Budget = None,
    deadline_s: Deadline = None,
    max_price_usd_per_hour: Price = None,
    labels: Labels = None,
) -> None:
    """Save a template; one of the same name is replaced."""
    options = options_of(
        budget_usd=budget_usd, deadline_s=deadline_s, max_price_usd_per_hour=max_price_usd_per_hour, labels=labels_of(labels)
    )
    with connect() as client:
        inputs = inputs_of(files, name) if files else None
        tell_record(client.templates.save(template, model, inputs, **options), FIELDS)


@app.command("list")
def templates_list() -> None:
    """Your templates, newest first."""
    with connect() as client:
        show(client.templates.list(), FIELDS, nothing="no templates yet: fabric templates save NAME MODEL")


@app.command("show")
def templates_show(template: str) -> None:
    """One template."""
    with connect() as client:
        tell_record(client.templates.get(template), FIELDS)


@app.command("submit")
def templates_submit(
    template: str,
    files: Annotated[list[Path] | None, typer.Argument(help="Inputs; left out: those that are saved.", exists=True)] = None,
    name: InputName = None,
    budget_usd: Budget = None,
    output: Output = None,
    detach: Detach = False,
) -> None:
    """Submit a job from a template; what is given here goes before what is saved."""
    with connect() as client:
        inputs = inputs_of(files, name) if files else None
        job = client.templates.submit(template, inputs, **options_of(budget_usd=budget_usd))
        follow(job, output=output, detach=detach)


@app.command("delete")
def templates_delete(template: str) -> None:
    """Forget a template; jobs that were made from it stay as they are."""
    with connect() as client:
        client.templates.delete(template)
    tell({"deleted": template}, f"{template} is forgotten")
