"""The commands `fabric webhooks …`."""

from typing import Annotated

import typer

from fabric.cli.commands import Commands
from fabric.cli.printing import show, tell
from fabric.cli.reach import connect

app = Commands(help="Addresses of your own that are told what happens to your jobs; docs/webhooks.md.", no_args_is_help=True)


@app.command("list")
def webhooks_list() -> None:
    """Your webhooks, newest first."""
    with connect() as client:
        found = client.webhooks.list()
    columns = {
        "id": lambda w: w["id"], "url": lambda w: w["url"], "events": lambda w: " ".join(w["events"]),
        "state": lambda w: _state(w["enabled"], w["switched_off_because"], w["failing_since"]), "for": lambda w: w["description"],
    }  # fmt: skip
    show(found, columns)


@app.command("create")
def webhooks_create(
    url: str,
    event: Annotated[list[str] | None, typer.Option(help="May be repeated, such as job.failed; default: everything.")] = None,
    description: Annotated[str, typer.Option(help="To recognise it by.")] = "",
) -> None:
    """Have an address told; the secret that verifies signatures is shown once."""
    with connect() as client:
        made = client.webhooks.create(url, events=event or None, description=description)
    tell(made, f"{made['id']}\n{made['secret']}")


@app.command("change")
def webhooks_change(
    webhook_id: str,
    url: str | None = None,
    event: Annotated[list[str] | None, typer.Option(help="May be repeated; in place of those it has.")] = None,
    description: str | None = None,
    on: Annotated[bool | None, typer.Option("--on/--off", help="Switch it on or off.")] = None,
) -> None:
    """Change a webhook, or switch it off and on."""
    with connect() as client:
        changed = client.webhooks.change(webhook_id, url=url, events=event or None, description=description, enabled=on)
    tell(changed, f"{webhook_id} is {'on' if changed['enabled'] else 'off'}")


@app.command("delete")
def webhooks_delete(webhook_id: str) -> None:
    """Delete a webhook with its deliveries."""
    with connect() as client:
        client.webhooks.delete(webhook_id)
    tell({"deleted": webhook_id}, f"{webhook_id} is told nothing any more")


@app.command("ping")
def webhooks_ping(webhook_id: str) -> None:
    """Send a webhook a ping, to try it."""
    with connect() as client:
        sent = client.webhooks.ping(webhook_id)
    tell(sent, f"{sent['id']} is on its way; fabric webhooks deliveries {webhook_id} says what becomes of it")


@app.command("deliveries")
def webhooks_deliveries(
    webhook_id: str,
    limit: int = 20,
    redeliver: Annotated[str | None, typer.Option(help="Send this one (msg_…) again first.")] = None,
) -> None:
    """What a webhook was told, newest first, and what it answered."""
    with connect() as client:
        if redeliver is not None:
            client.webhooks.redeliver(webhook_id, redeliver)
        found = client.webhooks.deliveries(webhook_id, limit=limit)
    columns = {
        "id": lambda d: d["id"], "at": lambda d: d["created_at"], "event": lambda d: d["event"], "job": lambda d: d["job_id"] or "",
        "state": lambda d: d["status"].replace("_", " "), "tries": lambda d: d["attempts"],
        "answer": lambda d: d["failure"] or d["response_status"] or "",
    }  # fmt: skip
    show(found, columns)


def _state(is_enabled: bool, because: str | None, failing_since: str | None) -> str:
    if not is_enabled:
        return f"off: {because}" if because else "off"
    return f"failing since {failing_since}" if failing_since else "on"
