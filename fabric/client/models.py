"""Upload, list and delete models."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fabric.client.cards import read_card
from fabric.client.transport import Transport


class Models:
    """`client.models`."""

    def __init__(self, transport: Transport) -> None:
        """Speak through `transport`."""
        self._transport = transport

    def upload(
        self,
        name: str,
        source: str | Path | bytes,
        *,
        card: dict[str, Any] | str | Path | None = None,
        assets: Mapping[str, str | Path | bytes] | Sequence[str | Path] = (),
    ) -> dict[str, Any]:
        """Upload an ONNX file as the next version of `name`.

        Args:
            name: Of the model.
            source: The file.
            card: How inputs are decoded and outputs finished: a dict, or a `.json` or `.toml` file.
            assets: Files that the card names, such as tokenizer.json: paths, or contents by name.

        Raises:
            InvalidModel: what is wrong with the file.
        """
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
        parts = [("file", (f"{name}.onnx", content, "application/octet-stream"))]
        named = assets if isinstance(assets, Mapping) else {Path(path).name: path for path in assets}
        for asset, given in named.items():
            data = given if isinstance(given, bytes) else Path(given).read_bytes()
            parts.append(("asset", (asset, data, "application/octet-stream")))
        card = read_card(card) if isinstance(card, str | Path) else card
        body = {"name": name, "card": json.dumps(card or {})}
        return dict(self._transport.request("POST", "/api/v1/models", data=body, files=parts, timeout=300.0))

    def get(self, name: str) -> dict[str, Any]:
        """One model with its newest version: inputs, outputs, card, profile."""
        return dict(self._transport.request("GET", f"/api/v1/models/{name}"))

    def list(self, *, limit: int = 100) -> list[dict[str, Any]]:
        """The models that you may run."""
        return list(self._transport.request("GET", "/api/v1/models", params={"limit": limit})["data"])

    def delete(self, name: str) -> None:
        """Retire a model."""
        self._transport.send("DELETE", f"/api/v1/models/{name}")
