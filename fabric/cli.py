"""The `fabric` command: up, demo, doctor, jobs, models, files, wallet, providers, token, ledger."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fabric.cli_account import account_commands, key_commands
from fabric.client import Client, FabricClientError

app = typer.Typer(help="Run ONNX models on machines that people own.", no_args_is_help=True, pretty_exceptions_enable=False)
jobs_app = typer.Typer(help="Submit, watch, list and cancel jobs.", no_args_is_help=True)
models_app = typer.Typer(help="Upload and list models.", no_args_is_help=True)
wallet_app = typer.Typer(help="Balance, entries, top-ups, refunds, payouts.", no_args_is_help=True)
providers_app = typer.Typer(help="Your machines, and tokens that let machines join.", no_args_is_help=True)
token_app = typer.Typer(help="For the operator: the cluster's token.", no_args_is_help=True)
ledger_app = typer.Typer(help="For the operator: are the books right?", no_args_is_help=True)
for name, group in [
    ("jobs", jobs_app), ("models", models_app), ("wallet", wallet_app), ("providers", providers_app), ("token", token_app),
    ("ledger", ledger_app),
]:  # fmt: skip
    app.add_typer(group, name=name)

connection: dict[str, Any] = {}
"""How every command reaches the endpoint, beside FABRIC_URL and FABRIC_API_KEY."""

AsJson = Annotated[bool, typer.Option("--json", help="Print the endpoint's answer as JSON.")]
console = Console()
PIPE_WIDTH = 250


def main() -> None:
    """Run the command; an error on purpose is one line and exit code 1."""
    try:
        app(standalone_mode=True)
    except FabricClientError as error:
        console.print(f"[red]{type(error).__name__}[/red]: {error}", highlight=False)
        sys.exit(1)


@app.callback()
def choose_trust(
    ca_file: Annotated[Path | None, typer.Option(help="Certificates (PEM) to accept as well; FABRIC_CA_FILE.")] = None,
    fingerprint: Annotated[str | None, typer.Option(help="The one certificate to accept; FABRIC_FINGERPRINT.")] = None,
    allow_plaintext: Annotated[
        bool, typer.Option(help="Credentials over http:// beyond this machine; FABRIC_ALLOW_PLAINTEXT.")
    ] = False,
) -> None:
    """Run ONNX models on machines that people own."""
    connection.update(ca_file=ca_file, fingerprint=fingerprint, allow_plaintext=allow_plaintext or None)


def connect() -> Client:
    """The client of every command."""
    return Client(**connection)


def server_module(name: str) -> ModuleType:
    """Import a part that needs the extra `server`; says so when it is missing."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("fabric"):
            raise
        console.print(f"This command needs {error.name}: install the extra with  pip install 'onnx-fabric[server,demo]'")
        raise typer.Exit(2) from None


@app.command()
def up(
    host: Annotated[str, typer.Option(help="Where the endpoint listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Its port; 0 takes 8700 or the next free one.")] = 0,
    providers: Annotated[int, typer.Option(help="Provider nodes to join on this machine.")] = 2,
    gate: Annotated[
        bool | None, typer.Option(help="Providers reach Ray through the gate only; FABRIC_RAY_GATE, default yes.")
    ] = None,
    trust_providers: Annotated[bool, typer.Option(help="Beyond loopback without the gate: I trust every machine.")] = False,
    tls: Annotated[str | None, typer.Option(help="`self-signed`: make a certificate, for a first try.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="The certificate with its chain (PEM).", envvar="FABRIC_TLS_CERT")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key (PEM).", envvar="FABRIC_TLS_KEY")] = None,
    name: Annotated[str | None, typer.Option(help="The endpoint's name for others; default: the certificate's.")] = None,
    allow_plaintext: Annotated[bool, typer.Option(help="Beyond loopback: the network is encrypted already.")] = False,
) -> None:
    """Start a whole fabric on this machine and keep it until Ctrl-C."""
    module = server_module("fabric.local.keep")
    started = module.keep_fabric(
        host=host, port=port, providers=providers, gate=gate, trust_providers=trust_providers, tls=tls, tls_cert=tls_cert, tls_key=tls_key,
        name=name, allow_plaintext=allow_plaintext,
    )  # fmt: skip
    raise typer.Exit(started)


@app.command()
def demo(
    kill_provider: Annotated[bool, typer.Option(help="Kill one provider's node in the middle.")] = False,
) -> None:
    """Start a fabric, run two real jobs, print what happened, leave nothing behind."""
    module = server_module("fabric.demo.story")
    raise typer.Exit(module.run_demo(kill_provider=kill_provider))


@app.command()
def doctor() -> None:
    """Check a set-up: versions, listeners and their exposure, database, storage, books."""
    module = server_module("fabric.local.doctor")
    raise typer.Exit(module.run_doctor())


@jobs_app.command("submit")
def jobs_submit(
    model: Annotated[str, typer.Argument(help="Name, name:version or id.")],
    files: Annotated[list[Path], typer.Argument(help=".npy, .npz, .json, or images (one item each).", exists=True)],
    name: Annotated[str | None, typer.Option("--input", help="Which input; needed when the model has several.")] = None,
    budget_usd: Annotated[str | None, typer.Option(help="Never spend more.")] = None,
    deadline_s: Annotated[int | None, typer.Option(help="End after so long.")] = None,
    output: Annotated[Path | None, typer.Option(help="Wait, then write results to this .npz.")] = None,
    detach: Annotated[bool, typer.Option(help="Print the id and return at once.")] = False,
) -> None:
    """Submit a job and watch it."""
    with connect() as client:
        value: Any = files[0] if len(files) == 1 and files[0].suffix in {".npy", ".npz", ".json"} else list(files)
        options = {k: v for k, v in {"budget_usd": budget_usd, "deadline_s": deadline_s}.items() if v is not None}
        job = client.submit(model, {name: value} if name else value, **options)
        console.print(job.id)
        if detach:
            return
        job.wait()
        console.print(f"{job.status}: {job.cost['captured']['usd']} USD")
        if output:
            write_results(job, output)


@jobs_app.command("list")
def jobs_list(limit: int = 20, as_json: AsJson = False) -> None:
    """Your jobs, newest first."""
    with connect() as client:
        found = client.jobs.list(limit=limit)
    columns = {
        "id": lambda j: j["id"], "model": lambda j: j["model"], "status": lambda j: j["status"],
        "items": lambda j: f"{j['progress']['items_done']}/{j['progress']['items_total']}",
        "cost USD": lambda j: j["cost"]["captured"]["usd"], "waiting for": lambda j: j.get("waiting_reason") or "",
        "created": lambda j: j["created_at"],
    }  # fmt: skip
    show(found, columns, as_json)


@jobs_app.command("show")
def jobs_show(job_id: str) -> None:
    """One job as the endpoint shows it."""
    with connect() as client:
        console.print_json(json.dumps(client.job(job_id).facts))


@jobs_app.command("watch")
def jobs_watch(job_id: str) -> None:
    """Follow a job to its end."""
    with connect() as client:
        job = client.job(job_id).wait()
        console.print(f"{job.status}: {job.cost['captured']['usd']} USD")


@jobs_app.command("results")
def jobs_results(job_id: str, output: Path) -> None:
    """Write a job's outputs to an .npz."""
    with connect() as client:
        write_results(client.job(job_id), output)


@jobs_app.command("cancel")
def jobs_cancel(job_id: str) -> None:
    """Stop a job; what is done is kept."""
    with connect() as client:
        console.print(client.job(job_id).cancel().status)


@models_app.command("upload")
def models_upload(
    name: str,
    file: Annotated[Path, typer.Argument(exists=True)],
    card: Annotated[Path | None, typer.Option(help="JSON: how inputs are decoded and scaled.", exists=True)] = None,
) -> None:
    """Upload an ONNX file as the next version of a model."""
    with connect() as client:
        model = client.models.upload(name, file, card=json.loads(card.read_text()) if card else None)
        console.print_json(json.dumps(model))


@models_app.command("list")
def models_list(as_json: AsJson = False) -> None:
    """The models that you may run."""
    with connect() as client:
        found = client.models.list()
    columns = {
        "name": lambda m: m["name"], "version": lambda m: str(m["version"]),
        "inputs": lambda m: shapes(m["inputs"]), "outputs": lambda m: shapes(m["outputs"]),
        "batch": lambda m: "yes" if m["profile"]["batchable"] else "no", "ms/item": lambda m: f"{m['profile']['item_us'] / 1000:.2f}",
    }  # fmt: skip
    show(found, columns, as_json)


@models_app.command("show")
def models_show(name: str) -> None:
    """One model: inputs, outputs, card, profile."""
    with connect() as client:
        console.print_json(json.dumps(client.models.get(name)))


@models_app.command("delete")
def models_delete(name: str) -> None:
    """Retire a model."""
    with connect() as client:
        client.models.delete(name)


@wallet_app.command("show")
def wallet_show() -> None:
    """Available, held and earned."""
    with connect() as client:
        console.print_json(json.dumps(client.wallet.balance()))


@wallet_app.command("entries")
def wallet_entries(limit: int = 20, as_json: AsJson = False) -> None:
    """The ledger's lines on your wallet, newest first."""
    with connect() as client:
        found = client.wallet.entries(limit=limit)
    columns = {
        "at": lambda e: e["created_at"], "kind": lambda e: e["kind"], "USD": lambda e: e["amount"]["usd"],
        "balance USD": lambda e: (e.get("balance") or {}).get("usd", ""), "job": lambda e: e.get("job_id") or "",
    }  # fmt: skip
    show(found, columns, as_json)


@wallet_app.command("top-up")
def wallet_top_up(usd: str) -> None:
    """Put money in (play money while the fabric has no Stripe keys)."""
    with connect() as client:
        console.print_json(json.dumps(client.wallet.top_up(usd)))


@wallet_app.command("refund")
def wallet_refund(usd: Annotated[str | None, typer.Argument(help="Whole cents; left out: all that can go back.")] = None) -> None:
    """Have unspent credit sent back to the payments it came from."""
    with connect() as client:
        console.print_json(json.dumps(client.wallet.refund(usd)))


@wallet_app.command("payout")
def wallet_payout(usd: Annotated[str | None, typer.Argument(help="Whole cents; left out: everything.")] = None) -> None:
    """Have matured earnings paid out."""
    with connect() as client:
        console.print_json(json.dumps(client.wallet.payout(usd)))


@providers_app.command("list")
def providers_list(as_json: AsJson = False) -> None:
    """Your machines."""
    with connect() as client:
        found = client.providers.list()
    columns = {
        "id": lambda p: p["id"], "name": lambda p: p["name"], "status": lambda p: p["status"],
        "slots": lambda p: ", ".join(f"{s['accelerator']} {s['device']}" for s in p["slots"]),
    }  # fmt: skip
    show(found, columns, as_json)


@providers_app.command("token")
def providers_token(label: str = "machine", uses: int = 1, expires_s: int = 3600) -> None:
    """Make a join token; it is shown once."""
    with connect() as client:
        made = client.providers.create_join_token(label, uses=uses, expires_s=expires_s)
        console.print(made["token"], highlight=False, soft_wrap=True)


@providers_app.command("drain")
def providers_drain(provider_id: str) -> None:
    """Let a machine finish and take nothing new."""
    with connect() as client:
        console.print(client.providers.drain(provider_id)["status"])


@providers_app.command("remove")
def providers_remove(provider_id: str) -> None:
    """Cut a machine off."""
    with connect() as client:
        client.providers.remove(provider_id)


@providers_app.command("ban")
def providers_ban(
    provider_id: str,
    reason: Annotated[str, typer.Option(help="For the records; the owner is not told.")] = "banned by the operator",
) -> None:
    """For the operator: cut anybody's machine off for good. On the fabric's own machine no key is needed."""
    module = server_module("fabric.local.operate")
    with Client(**{**connection, **module.operator_connection()}) as client:
        client.providers.ban(provider_id, reason)
    console.print(f"{provider_id} is cut off")


@token_app.command("rotate")
def token_rotate() -> None:
    """Give the cluster another token, on the machine where `fabric up` runs; says how long the endpoint was away."""
    module = server_module("fabric.local.operate")
    raise typer.Exit(module.run_token_rotation())


@ledger_app.command("audit")
def ledger_audit() -> None:
    """Every invariant of the books; exit code 1 when one is broken."""
    module = server_module("fabric.local.audit")
    raise typer.Exit(module.run_audit())


@ledger_app.command("reconcile")
def ledger_reconcile(
    days: Annotated[int, typer.Option(help="Compare what is younger; 0: everything.")] = 30,
) -> None:
    """Compare the ledger with Stripe, balance transaction by balance transaction; exit code 1 when they differ."""
    module = server_module("fabric.local.reconcile")
    raise typer.Exit(module.run_reconciliation(days or None))


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
    raise typer.Exit(module.run_correction(lines, key=key, operator=operator, reason=reason))


def show(rows: list[dict[str, Any]], columns: dict[str, Any], as_json: bool) -> None:
    """Print rows as a table, or as the JSON they came as."""
    if as_json:
        console.print_json(json.dumps(rows))
        return
    table = Table(box=None, pad_edge=False)
    for title in columns:
        table.add_column(title, overflow="fold", no_wrap=title == "id")  # an id is there to be copied
    for row in rows:
        table.add_row(*(str(cell(row)) for cell in columns.values()))
    # A pipe has no width: there nothing is folded.
    (console if console.is_terminal else Console(width=PIPE_WIDTH)).print(table)


app.add_typer(account_commands(connect, show, console), name="account")
app.add_typer(key_commands(connect, show, console), name="keys")


def shapes(tensors: dict[str, Any]) -> str:
    """Named tensors in one short line."""
    return ", ".join(f"{name} {t['dtype']}{t['shape']}" for name, t in tensors.items())


def write_results(job: Any, output: Path) -> None:
    """Write a job's outputs to an .npz and say so."""
    import numpy as np

    outputs = job.results()
    with output.open("wb") as file:
        np.savez(file, **outputs)
    console.print(f"{output}: " + ", ".join(f"{name} {array.shape}" for name, array in outputs.items()))
