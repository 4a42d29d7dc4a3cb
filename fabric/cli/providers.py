"""The commands `fabric providers …`."""

from typing import Annotated

import typer

from fabric.cli.printing import console, show
from fabric.cli.reach import AsJson, connect, connection, server_module
from fabric.client import Client

app = typer.Typer(help="Your machines, and tokens that let machines join.", no_args_is_help=True)


@app.command("list")
def providers_list(as_json: AsJson = False) -> None:
    """Your machines."""
    with connect() as client:
        found = client.providers.list()
    columns = {
        "id": lambda p: p["id"], "name": lambda p: p["name"], "status": lambda p: p["status"],
        "slots": lambda p: ", ".join(f"{s['accelerator']} {s['device']}" for s in p["slots"]),
    }  # fmt: skip
    show(found, columns, as_json)


@app.command("token")
def providers_token(label: str = "machine", uses: int = 1, expires_s: int = 3600) -> None:
    """Make a join token; it is shown once."""
    with connect() as client:
        made = client.providers.create_join_token(label, uses=uses, expires_s=expires_s)
        console.print(made["token"], highlight=False, soft_wrap=True)


@app.command("drain")
def providers_drain(provider_id: str) -> None:
    """Let a machine finish and take nothing new."""
    with connect() as client:
        console.print(client.providers.drain(provider_id)["status"])


@app.command("remove")
def providers_remove(provider_id: str) -> None:
    """Cut a machine off."""
    with connect() as client:
        client.providers.remove(provider_id)


@app.command("ban")
def providers_ban(
    provider_id: str,
    reason: Annotated[str, typer.Option(help="For the records; the owner is not told.")] = "banned by the operator",
) -> None:
    """For the operator: cut anybody's machine off for good. On the fabric's own machine no key is needed."""
    module = server_module("fabric.local.operate")
    with Client(**{**connection, **module.operator_connection()}) as client:
        client.providers.ban(provider_id, reason)
    console.print(f"{provider_id} is cut off")
