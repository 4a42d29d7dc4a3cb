"""The commands `fabric providers …`."""

from typing import Annotated, Any

import typer

from fabric.cli.commands import Commands
from fabric.cli.printing import GONE, dollars, show, tell, tell_record
from fabric.cli.reach import connect, connect_as_operator

app = Commands(help="Your machines, and tokens that let machines join.", no_args_is_help=True)

FIELDS = {
    "id": lambda p: p["id"], "name": lambda p: p["name"], "status": lambda p: p["status"], "region": lambda p: p["region"],
    "slots": lambda p: "\n".join(
        f"{s['slot']}: {s['device']}, {dollars(s['price_per_hour'])} USD/h ({s['price']})" + (GONE if s["enabled"] else ", off")
        for s in p["slots"]
    ),
    "agent": lambda p: p["agent_version"], "last seen": lambda p: p["last_heartbeat_at"], "since": lambda p: p["created_at"],
}  # fmt: skip


@app.command("list")
def providers_list() -> None:
    """Your machines."""
    with connect() as client:
        found = client.providers.list()
    columns = {
        "id": lambda p: p["id"], "name": lambda p: p["name"], "status": lambda p: p["status"],
        "slots": lambda p: ", ".join(f"{s['accelerator']} {s['device']}" for s in p["slots"]),
    }  # fmt: skip
    show(found, columns, nothing="no machine yet: fabric providers token, then provider-join on the machine")


@app.command("token")
def providers_token(label: str = "machine", uses: int = 1, expires_s: int = 3600) -> None:
    """Make a join token; it is shown once."""
    with connect() as client:
        made = client.providers.create_join_token(label, uses=uses, expires_s=expires_s)
    tell(made, made["token"])


@app.command("show")
def providers_show(provider_id: str) -> None:
    """One machine: state, slots, prices."""
    with connect() as client:
        tell_record(client.providers.get(provider_id), FIELDS)


@app.command("pause")
def providers_pause(provider_id: str) -> None:
    """Give a machine no new work until it is resumed; what runs goes on."""
    _change(provider_id, state="paused")


@app.command("resume")
def providers_resume(provider_id: str) -> None:
    """Give a paused machine work again."""
    _change(provider_id, state="online")


@app.command("price")
def providers_price(
    provider_id: str,
    usd_per_hour: Annotated[str, typer.Argument(help="For each slot, such as 0.02; `auto` follows the suggestion.")],
    slot: Annotated[int | None, typer.Option(help="Only of this slot.")] = None,
) -> None:
    """Set what a machine asks for."""
    price = {"price_usd_per_hour": usd_per_hour}
    _change(provider_id, **(price if slot is None else {"slots": [{"slot": slot, **price}]}))


def _change(provider_id: str, **changes: Any) -> None:
    with connect() as client:
        tell_record(client.providers.update(provider_id, **changes), FIELDS)


@app.command("drain")
def providers_drain(provider_id: str) -> None:
    """Let a machine finish and take nothing new."""
    with connect() as client:
        orders = client.providers.drain(provider_id)
    tell(orders, f"draining; {orders['orders_outstanding']} orders to finish")


@app.command("remove")
def providers_remove(provider_id: str) -> None:
    """Cut a machine off."""
    with connect() as client:
        client.providers.remove(provider_id)
    tell({"removed": provider_id}, f"{provider_id} is cut off")


@app.command("ban")
def providers_ban(
    provider_id: str,
    reason: Annotated[str, typer.Option(help="For the records; the owner is not told.")] = "banned by the operator",
) -> None:
    """For the operator: cut anybody's machine off for good. On the fabric's own machine no key is needed."""
    with connect_as_operator() as client:
        client.providers.ban(provider_id, reason)
    tell({"banned": provider_id}, f"{provider_id} is cut off")
