"""The public face: `from fabric import Client, AsyncClient`. Imports no server code."""

from typing import Any

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client", "__version__"]


def __getattr__(name: str) -> Any:
    # Lazy, because actors import fabric.actors on owners' machines and need no HTTP client there.
    if name in {"AsyncClient", "Client"}:
        import fabric.client

        return getattr(fabric.client, name)
    raise AttributeError(f"module 'fabric' has no attribute {name!r}")
