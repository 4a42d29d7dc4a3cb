"""How every command reaches the endpoint, and the parts of the server that some need."""

import importlib
from types import ModuleType
from typing import Any

from fabric.cli.commands import fail, manner
from fabric.cli.explain import Explanation
from fabric.client import Client

connection: dict[str, Any] = {}
"""How every command reaches the endpoint, beside FABRIC_URL and FABRIC_API_KEY."""


def connect(**instead: Any) -> Client:
    """The client of every command.

    Args:
        instead: What goes before the options that the command line gave.
    """
    return Client(**{**connection, **instead}, on_call=Explanation() if manner.explain else None)


def connect_as_operator() -> Client:
    """The same, with the operator's key where the fabric runs on this machine and it is ours to read."""
    return connect(**server_module("fabric.local.operate").operator_connection())


def server_module(name: str) -> ModuleType:
    """Import a part that needs the extra `server`; says so when it is missing.

    Raises:
        typer.Exit: it is missing.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("fabric"):
            raise
        fail(
            f"This command needs {error.name}: install the extra with  pip install 'onnx-fabric[server,provider,demo]'",
            exit_code=2,
        )
        raise AssertionError from error
