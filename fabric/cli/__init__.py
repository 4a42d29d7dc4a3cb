"""The `fabric` command: up, demo, doctor, and a group of commands for each noun."""

from pathlib import Path
from typing import Annotated

import typer

from fabric.cli import account, files, jobs, models, operate, providers, quotes, templates, wallet, webhooks
from fabric.cli.commands import AsJson
from fabric.cli.reach import connection, server_module

app = typer.Typer(help="Run ONNX models on machines that people own.", no_args_is_help=True, pretty_exceptions_enable=False)
for name, group in [
    ("jobs", jobs.app), ("templates", templates.app), ("models", models.app), ("files", files.app), ("quotes", quotes.app),
    ("wallet", wallet.app), ("providers", providers.app), ("account", account.account_app), ("keys", account.keys_app),
    ("webhooks", webhooks.app),    ("operator", operate.operator_app), ("token", operate.token_app), ("ledger", operate.ledger_app),
]:  # fmt: skip
    app.add_typer(group, name=name)


def main() -> None:
    """Run the command."""
    app(standalone_mode=True)


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
def doctor(as_json: AsJson = False) -> None:
    """Check a set-up: versions, listeners and their exposure, database, storage, books; says in words what to do."""
    module = server_module("fabric.local.doctor")
    raise typer.Exit(module.run_doctor(as_json=as_json))
