"""The `fabric` command: up, demo, doctor, jobs, models, files, wallet, providers, operator, token, ledger."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from fabric.cli_account import account_commands, key_commands
from fabric.client import Client, FabricClientError
from fabric.client.cards import TEMPLATES, write_template
from fabric.client.printing import console, shapes, show, show_bill, show_prices, write_results

app = typer.Typer(help="Run ONNX models on machines that people own.", no_args_is_help=True, pretty_exceptions_enable=False)
jobs_app = typer.Typer(help="Submit, watch, list and cancel jobs.", no_args_is_help=True)
models_app = typer.Typer(help="Upload and list models.", no_args_is_help=True)
wallet_app = typer.Typer(help="Balance, entries, top-ups, refunds, payouts.", no_args_is_help=True)
providers_app = typer.Typer(help="Your machines, and tokens that let machines join.", no_args_is_help=True)
token_app = typer.Typer(help="For the operator: the cluster's token.", no_args_is_help=True)
ledger_app = typer.Typer(help="For the operator: are the books right?", no_args_is_help=True)
operator_app = typer.Typer(help="For the operator: commission and device prices.", no_args_is_help=True)
for name, group in [
    ("jobs", jobs_app), ("models", models_app), ("wallet", wallet_app), ("providers", providers_app), ("token", token_app),
    ("ledger", ledger_app), ("operator", operator_app),
]:  # fmt: skip
    app.add_typer(group, name=name)

connection: dict[str, Any] = {}
"""How every command reaches the endpoint, beside FABRIC_URL and FABRIC_API_KEY."""

AsJson = Annotated[bool, typer.Option("--json", help="Print the endpoint's answer as JSON.")]


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
    gate_host: Annotated[
        str | None, typer.Option(help="Where the gate listens for machines elsewhere, a tunnel's address; default: as --host.")
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
        host=host, port=port, providers=providers, gate=gate, gate_host=gate_host, trust_providers=trust_providers,
        tls=tls, tls_cert=tls_cert, tls_key=tls_key, name=name, allow_plaintext=allow_plaintext,
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
    files: Annotated[
        list[Path], typer.Argument(help=".npy, .npz, .json, .txt, .zip, or images, sounds, videos (one item each).", exists=True)
    ],
    name: Annotated[str | None, typer.Option("--input", help="Which input; needed when the model has several.")] = None,
    budget_usd: Annotated[str | None, typer.Option(help="Never spend more.")] = None,
    deadline_s: Annotated[int | None, typer.Option(help="End after so long.")] = None,
    output: Annotated[Path | None, typer.Option(help="Wait, then write results to this .npz, .json or .zip.")] = None,
    detach: Annotated[bool, typer.Option(help="Print the id and return at once.")] = False,
) -> None:
    """Submit a job and watch it."""
    with connect() as client:
        value: Any = (
            files[0]
            if len(files) == 1 and files[0].suffix in {".npy", ".npz", ".json", ".jsonl", ".txt", ".zip"}
            else list(files)
        )
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
    """Write a job's outputs to an .npz, .json or .zip."""
    with connect() as client:
        write_results(client.job(job_id), output)


@jobs_app.command("bill")
def jobs_bill(
    job_id: str, as_json: AsJson = False, as_csv: Annotated[bool, typer.Option("--csv", help="For a spreadsheet.")] = False
) -> None:
    """What a job costs, item by item, and which attempts cost nothing and why."""
    with connect() as client:
        job = client.job(job_id)
        if as_csv:
            typer.echo(job.bill_csv(), nl=False)
        elif as_json:
            console.print_json(json.dumps(job.bill()))
        else:
            show_bill(job.bill())


@jobs_app.command("cancel")
def jobs_cancel(job_id: str) -> None:
    """Stop a job; what is done is kept."""
    with connect() as client:
        console.print(client.job(job_id).cancel().status)


@models_app.command("upload")
def models_upload(
    name: str,
    file: Annotated[Path, typer.Argument(exists=True)],
    card: Annotated[
        Path | None, typer.Option(help="JSON or TOML: how inputs are decoded and outputs finished.", exists=True)
    ] = None,
    asset: Annotated[list[Path] | None, typer.Option(help="A file that the card names, such as tokenizer.json.")] = None,
) -> None:
    """Upload an ONNX file as the next version of a model."""
    with connect() as client:
        model = client.models.upload(name, file, card=card, assets=asset or [])
        console.print_json(json.dumps(model))


@models_app.command("init")
def models_init(
    template: Annotated[str, typer.Option(help=f"One of {', '.join(TEMPLATES)}.")],
    output: Annotated[Path, typer.Option(help="Where to write the card.")] = Path("card.toml"),
) -> None:
    """Write a card with explanations, to be edited and given to `models upload --card`."""
    try:
        write_template(template, output)
    except (ValueError, FileExistsError) as error:
        console.print(str(error), highlight=False)
        raise typer.Exit(1) from None
    console.print(f"{output} is written; edit it, then: fabric models upload NAME MODEL.onnx --card {output}", highlight=False)


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


@wallet_app.command("onboard")
def wallet_onboard(return_url: Annotated[str, typer.Argument(help="Where the form sends you afterwards.")]) -> None:
    """A link to where you complete the account that your earnings are paid out to; then what is still missing."""
    with connect() as client:
        console.print(client.wallet.onboarding_url(return_url), soft_wrap=True, markup=False)
        console.print_json(json.dumps(client.wallet.payout_account()))


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


@operator_app.command("prices")
def operator_prices(as_json: AsJson = False) -> None:
    """Commission, device table, demand factors, and the latest decisions with who and why."""
    module = server_module("fabric.local.operate")
    with Client(**{**connection, **module.operator_connection()}) as client:
        found = client.prices.decided()
    console.print_json(json.dumps(found)) if as_json else show_prices(found)


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
    module = server_module("fabric.local.operate")
    given = None if devices is None else json.loads(devices.read_text())
    table = given["devices"] if given and isinstance(given.get("devices"), dict) else given
    with Client(**{**connection, **module.operator_connection()}) as client:
        show_prices(client.prices.decide(reason, commission_bps=commission_bps, devices=table, effective_at=effective_at))


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


app.add_typer(account_commands(connect, show, console), name="account")
app.add_typer(key_commands(connect, show, console), name="keys")
