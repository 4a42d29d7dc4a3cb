# Made of fabric/client/_async/models.py by `make docs`; edit that one.
"""Upload, publish, list and retire models."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fabric.client._sync.transport import Transport
from fabric.client.cards import read_card
from fabric.client.display import ModelFacts, ModelRows

UPLOAD_TIMEOUT_S = 300.0


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
    ) -> ModelFacts:
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
        return ModelFacts(self._transport.request("POST", "/api/v1/models", data=body, files=parts, timeout=UPLOAD_TIMEOUT_S))

    def get(self, name: str) -> ModelFacts:
        """One model with its newest version: inputs, outputs, card, profile. `name:version` gives that version."""
        return ModelFacts(self._transport.request("GET", f"/api/v1/models/{name}"))

    def versions(self, name: str) -> ModelRows:
        """All versions of one model, newest first."""
        return ModelRows(self._transport.rows(f"/api/v1/models/{name}/versions"))

    def list(self, *, limit: int | None = 100) -> ModelRows:
        """The models that you may run."""
        return ModelRows(self._transport.rows("/api/v1/models", limit=limit))

    def publish(self, name: str, public: bool = True) -> ModelFacts:
        """Let everybody run it (nobody can download it), or only you."""
        body = {"visibility": "public" if public else "private"}
        return ModelFacts(self._transport.request("PATCH", f"/api/v1/models/{name}", json=body))

    def delete(self, name: str, version: int | None = None) -> None:
        """Retire a model, or one version of it."""
        self._transport.send("DELETE", f"/api/v1/models/{name}" + ("" if version is None else f"/versions/{version}"))
