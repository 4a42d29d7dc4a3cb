"""The commands `fabric providers …`."""

from typing import Annotated, Any

import typer

from fabric.cli.commands import Commands
from fabric.cli.printing import GONE, dollars, show, tell, tell_record
from fabric.cli.reach import connect, connect_as_operator

app = Commands(help="Your machines, and tokens that let machines join.", no_args_is_help=True)

CAPS = {
    "max_power_w": "{:g} W", "max_temperature_c": "{:g} °C", "max_memory_gib": "{:g} GiB of memory",
    "max_bandwidth_mbit": "{:g} Mbit/s", "max_disk_gib": "{:g} GiB of disk",
}  # fmt: skip


def schedule_words(machine: dict[str, Any]) -> str | None:
    """When a machine lends, and what it has not taken of what was set; None: its agent is too old to say."""
    counts, wanted = machine.get("schedule"), machine.get("schedule_wanted")
    said = [f"{_lends(counts)}, {counts['time_zone']} time" + ("" if counts["is_open"] else ", closed now")] if counts else []
    if wanted and wanted["refused"]:
        said.append(f"cannot keep {_lends(wanted)}: {wanted['refused']}")
    elif wanted:
        said.append(f"{_lends(wanted)} waits for the machine to take it")
    return "\n".join(said) or None


def cap_words(caps: dict[str, Any] | None) -> str | None:
    """What a machine keeps to; None: no cap, or none that is known."""
    return ", ".join(words.format(caps[name]) for name, words in CAPS.items() if caps[name] is not None) or None if caps else None


def _lends(schedule: dict[str, Any]) -> str:
    quiet = f", after {schedule['idle_minutes']:g} quiet minutes only" if schedule["idle_only"] else ""
    return (schedule["hours"] or "always") + quiet


FIELDS = {
    "id": lambda p: p["id"], "name": lambda p: p["name"], "status": lambda p: p["status"], "region": lambda p: p["region"],
    "slots": lambda p: "\n".join(
        f"{s['slot']}: {s['device']}, {dollars(s['price_per_hour'])} USD/h ({s['price']})" + (GONE if s["enabled"] else ", off")
        for s in p["slots"]
    ),
    "lends": schedule_words, "caps": lambda p: cap_words(p.get("caps")),
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


@app.command("schedule")
def providers_schedule(
    provider_id: str,
    hours: Annotated[str | None, typer.Option(help="By its own clock: 22-7, or mo-fr 22-7, sa-su 0-24; or always.")] = None,
    idle_only: Annotated[bool | None, typer.Option(help="Only while nobody uses it.")] = None,
    idle_minutes: Annotated[float | None, typer.Option(help="How long nobody must have used it.")] = None,
) -> None:
    """Set when a machine lends; it takes that with its next heartbeat, and what runs is finished."""
    said = {"hours": hours, "idle_only": idle_only, "idle_minutes": idle_minutes}
    if not (given := {name: value for name, value in said.items() if value is not None}):
        raise typer.BadParameter("say --hours, --idle-only, --no-idle-only or --idle-minutes")
    _change(provider_id, schedule=given)


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
