"""/api/v1/models: upload, publish, list. Its domain package is catalog."""

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from fabric.api.dependencies import ModelsCaller, ServicesDep
from fabric.api.idempotency import idempotent, replayed
from fabric.api.pagination import PageDep, page_of
from fabric.api.schemas.common import Page
from fabric.api.schemas.models import CardIn, ModelOut, ModelPatch
from fabric.api.uploads import PartStart, is_multipart, parts
from fabric.catalog import registry
from fabric.codecs.assets import ASSET_BYTES_MAX, asset_field
from fabric.core.errors import Malformed, NotFound, TooLarge, UnsupportedMedia
from fabric.core.ids import UserId
from fabric.db.engine import Reader, Transaction
from fabric.jobs.capacity import capacity_for
from fabric.marketplace.store import open_offers
from fabric.wiring import Services

router = APIRouter(prefix="/api/v1/models", tags=["models"])
ASSETS_MAX = 8
PARTS_MAX = 3 + ASSETS_MAX
VERSION_MAX = 2**31 - 1
_UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["name", "file"],
                    "properties": {
                        "name": {"type": "string"},
                        "card": {"type": "string", "description": "JSON: description, inputs, outputs"},
                        "file": {"type": "string", "format": "binary"},
                        "asset": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "maxItems": ASSETS_MAX,
                            "description": "Files that the card names, such as tokenizer.json, by their file names.",
                        },
                    },
                }
            }
        },
    }
}


@dataclass
class _Form:
    """A model upload as it comes in."""

    file: IO[bytes]
    fields: dict[str, bytes] = field(default_factory=dict)
    digest: Any = field(default_factory=hashlib.sha256)
    size: int = 0
    assets: list[tuple[str, bytearray]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return registry.checked_name(self.fields.get("name", b"").decode(errors="replace"))

    @property
    def card(self) -> dict[str, Any]:
        try:
            card = json.loads(self.fields.get("card") or b"{}")
        except (ValueError, RecursionError):
            raise Malformed("the field 'card' is not JSON") from None
        if not isinstance(card, dict):
            raise Malformed("the field 'card' is not a JSON object")
        return card

    @property
    def fingerprint(self) -> bytes:
        return repr((sorted(self.fields.items()), self.digest.hexdigest())).encode()


@router.post("", status_code=201, response_model=ModelOut, openapi_extra=_UPLOAD_BODY)
async def upload(request: Request, principal: ModelsCaller, services: ServicesDep) -> Response:
    """Upload an ONNX file as the next version of a model: fields `name`, `file` and, if you like, `card` and `asset`.

    The file is inspected, run on generated inputs in a sandbox and measured before it is accepted. A refusal says why in `reason`
    and `detail`, and in `node` which node of the graph is the cause: its `path`, `index`, `name` and `op_type`.
    """
    with tempfile.NamedTemporaryFile(prefix="fabric-model-") as file:
        form = await _read_form(request, services, file)
        name, card = form.name, form.card
        if replay := await replayed(request, principal, services, form.fingerprint):
            return replay
        admitted = await registry.admit_upload(
            services.database, services.store, name=name, path=Path(file.name), card=card,
            control_flow=services.settings.limits.model_control_flow,
        )  # fmt: skip

    async def act(tx: Transaction) -> ModelOut:
        return ModelOut.of(await registry.record_version(tx, principal.user_id, admitted), principal.user_id)

    return await idempotent(request, principal, services, form.fingerprint, act, status=201)


@router.get("")
async def list_models(principal: ModelsCaller, services: ServicesDep, page: PageDep) -> Page[ModelOut]:
    """The newest version of each model that you may run: yours and the public ones."""
    async with services.database.reading() as reader:
        rows = await registry.list_models(reader, principal.user_id, before=page.before, limit=page.fetch)
        shown = await _renderer(reader, principal.user_id)
    return page_of(rows, page, cursor=lambda row: row.model_id, render=shown)


@router.get("/{reference}")
async def show_model(reference: str, principal: ModelsCaller, services: ServicesDep) -> ModelOut:
    """One version: `name` (the newest), `name:3`, `mdl_…` (the newest) or `mdv_…`."""
    async with services.database.reading() as reader:
        shown = await _renderer(reader, principal.user_id)
        return shown(await registry.find_version(reader, principal.user_id, reference))


@router.get("/{reference}/versions")
async def list_versions(reference: str, principal: ModelsCaller, services: ServicesDep, page: PageDep) -> Page[ModelOut]:
    """All versions of a model, newest first."""
    async with services.database.reading() as reader:
        rows = await registry.list_versions(reader, principal.user_id, reference, before=page.before_number, limit=page.fetch)
    return page_of(rows, page, cursor=lambda row: row.version, render=lambda row: ModelOut.of(row, principal.user_id))


@router.post("/{name}/versions", status_code=201, response_model=ModelOut)
async def change_card(request: Request, name: str, body: CardIn, principal: ModelsCaller, services: ServicesDep) -> Response:
    """Publish the file of a version of yours with another card, as the next version; versions themselves never change.

    It is examined and measured again, since another card may feed it other inputs.
    """
    raw = await request.body()
    if replay := await replayed(request, principal, services, raw):
        return replay
    async with services.database.reading() as reader:
        own = await registry.find_own_version(reader, principal.user_id, name, body.of_version)
    with tempfile.NamedTemporaryFile(prefix="fabric-model-") as file:
        async for chunk in services.store.stream(own.object_key):
            file.write(chunk)
        file.flush()
        admitted = await registry.admit_upload(
            services.database, services.store, name=name, path=Path(file.name), card=body.card,
            control_flow=services.settings.limits.model_control_flow,
        )  # fmt: skip

    async def act(tx: Transaction) -> ModelOut:
        return ModelOut.of(await registry.record_version(tx, principal.user_id, admitted), principal.user_id)

    return await idempotent(request, principal, services, raw, act, status=201)


@router.get("/{name}/versions/{version}")
async def show_version(name: str, version: int, principal: ModelsCaller, services: ServicesDep) -> ModelOut:
    """One version of a model by its number."""
    async with services.database.reading() as reader:
        found = await registry.find_version(reader, principal.user_id, f"{name}:{_number(version)}")
    return ModelOut.of(found, principal.user_id)


@router.patch("/{name}")
async def change_model(name: str, body: ModelPatch, principal: ModelsCaller, services: ServicesDep) -> ModelOut:
    """Publish a model of yours, or withdraw it."""
    async with services.database.transaction() as tx:
        await registry.publish(tx, principal.user_id, name, body.visibility)
        return ModelOut.of(await registry.find_version(tx, principal.user_id, name), principal.user_id)


@router.delete("/{name}", status_code=204)
async def delete_model(name: str, principal: ModelsCaller, services: ServicesDep) -> None:
    """Retire a model of yours with all its versions. Submitted jobs may still run."""
    async with services.database.transaction() as tx:
        await registry.delete(tx, principal.user_id, name)


@router.delete("/{name}/versions/{version}", status_code=204)
async def delete_version(name: str, version: int, principal: ModelsCaller, services: ServicesDep) -> None:
    """Retire one version of a model of yours. Submitted jobs may still run."""
    async with services.database.transaction() as tx:
        await registry.delete(tx, principal.user_id, name, _number(version))


async def _renderer(reader: Reader, caller: UserId) -> Callable[[registry.ModelVersion], ModelOut]:
    """How to show models with what could run them now; the offers are read once for all of them."""
    offers = await open_offers(reader)
    return lambda model: ModelOut.of(model, caller, capacity_for(offers, caller, model))


async def _read_form(request: Request, services: Services, file: IO[bytes]) -> _Form:
    if not is_multipart(request):
        raise UnsupportedMedia("send a model as multipart/form-data with the fields name, file and card")
    limits = services.settings.limits
    form = _Form(file)
    part: PartStart | None = None
    has_file = False
    async for item in parts(request, parts_max=PARTS_MAX):
        if isinstance(item, PartStart):
            part = item
            if (
                part.field == "asset"
                and len(form.assets) < ASSETS_MAX
                and part.filename
                and part.filename not in dict(form.assets)
            ):
                form.assets.append((part.filename, bytearray()))
                continue
            if part.field not in {"name", "card", "file"} or part.field in form.fields or (part.field == "file" and has_file):
                raise Malformed(
                    f"the field {part.field[:80]!r} is unknown or comes twice; a model has name, file, card and assets"
                )
            has_file = has_file or part.field == "file"
            if part.field != "file":
                form.fields[part.field] = b""
        elif part is not None and part.field == "file":
            _keep(form, item, limits.model_bytes_max)
        elif part is not None and part.field == "asset":
            form.assets[-1][1].extend(item)
            if len(form.assets[-1][1]) > ASSET_BYTES_MAX:
                raise TooLarge(f"an asset may have {ASSET_BYTES_MAX} bytes")
        elif part is not None:
            form.fields[part.field] += item
            if len(form.fields[part.field]) > limits.body_bytes_max:
                raise TooLarge(f"the field {part.field!r} has more than {limits.body_bytes_max} bytes")
    if not has_file:
        raise Malformed("the field 'file' is missing")
    for name, content in form.assets:
        # An asset lies inside the file: one hash covers both, and whoever runs the model has it.
        _keep(form, asset_field(name, bytes(content)), limits.model_bytes_max)
    file.flush()
    return form


def _keep(form: _Form, chunk: bytes, size_max: int) -> None:
    form.size += len(chunk)
    if form.size > size_max:
        raise TooLarge(f"the model has more than {size_max} bytes")
    form.digest.update(chunk)
    form.file.write(chunk)


def _number(version: int) -> int:
    if not 1 <= version <= VERSION_MAX:
        raise NotFound(f"there is no version {version}")
    return version
