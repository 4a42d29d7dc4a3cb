"""How every command reaches the endpoint, and the parts of the server that some need."""

import importlib
from types import ModuleType
from typing import Annotated, Any

import typer

from fabric.cli.printing import console
from fabric.client import Client

connection: dict[str, Any] = {}
"""How every command reaches the endpoint, beside FABRIC_URL and FABRIC_API_KEY."""

AsJson = Annotated[bool, typer.Option("--json", help="Print the endpoint's answer as JSON.")]


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
        console.print(f"This command needs {error.name}: install the extra with  pip install 'onnx-fabric[server,provider,demo]'")
        raise typer.Exit(2) from None
