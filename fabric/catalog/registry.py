"""Upload, version, publish and retire models.

A version never changes: its file is stored once, its card, inspection and profile are written with it. Jobs refer to versions,
so a retired one stays readable for those that run.
"""

import hashlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from fabric.catalog.admit import Admission, admit
from fabric.catalog.store import (
    Row,
    delete_model,
    delete_version,
    insert_version,
    newest_of_model,
    newest_of_name,
    select_page,
    select_versions,
    select_versions_of,
    set_visibility,
    upsert_model,
    version_of_id,
)
from fabric.codecs.outputs import delivered
from fabric.core.errors import Conflict, Invalid, NotFound
from fabric.core.ids import ModelId, ModelVersionId, UserId
from fabric.db.engine import Database, Reader, Transaction
from fabric.files.files import GARBAGE_DELAY_S, RESCUE_MARGIN_S, UPLOAD_S_MAX
from fabric.files.store import mark_garbage, rescue
from fabric.storage.base import CHUNK_BYTES, ObjectStore
from fabric.storage.keys import model_key

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
ID_PREFIXES = (f"{ModelId.prefix}_", f"{ModelVersionId.prefix}_")


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of a model, and the model's own facts with it."""

    id: ModelVersionId
    model_id: ModelId
    owner_id: UserId
    name: str
    visibility: str  # private or public
    version: int
    sha256: str  # hex
    size: int
    object_key: str
    card: dict[str, Any]  # completed: an entry for each input
    inputs: dict[str, dict[str, Any]]  # name -> {"dtype": numpy name, "shape": [int | None …], batch axis included}
    outputs: dict[str, dict[str, Any]]
    inspection: dict[str, Any]
    profile: dict[str, Any]  # the fields of catalog.profile.Profile
    created_at: datetime

    @property
    def delivered(self) -> dict[str, dict[str, Any]]:
        """What its jobs give: the outputs after the steps that the card names, as `codecs.outputs.delivered` tells them."""
        return delivered(self.outputs, self.card["outputs"], self.inputs)


@dataclass(frozen=True, slots=True)
class AdmittedUpload:
    """A model that was admitted and lies in the store, but is not yet in the catalogue."""

    id: ModelVersionId
    name: str
    sha256: bytes
    size: int
    object_key: str
    admission: Admission


async def admit_upload(
    database: Database,
    store: ObjectStore,
    *,
    name: str,
    path: Path,
    card: Mapping[str, Any],
    control_flow: bool = False,
) -> AdmittedUpload:
    """Admit the file at `path` and store it; `record_version` then makes it a version. The file stays the caller's.

    With `control_flow` it may hold If, Loop and Scan.

    Raises:
        Invalid: the name or the card cannot be accepted.
        InvalidModel: the file cannot be accepted; `reason` says why, `node` which node is the cause, where one is.
        StorageUnavailable: the store fails.
    """
    checked_name(name)
    admission = await admit(path, card, control_flow=control_flow)
    sha256 = await _hash_of(path)
    version_id = ModelVersionId.new()
    key = model_key(sha256, version_id)
    async with database.transaction() as tx:
        await mark_garbage(tx, [key], UPLOAD_S_MAX)
    facts = await store.put(key, _chunks(path), size_max=path.stat().st_size)
    return AdmittedUpload(version_id, name, facts.sha256, facts.size, key, admission)


async def record_version(tx: Transaction, owner_id: UserId, admitted: AdmittedUpload) -> ModelVersion:
    """Make what was admitted the next version of its name.

    Raises:
        Conflict: so much time has passed that its bytes may be gone.
    """
    if not await rescue(tx, admitted.object_key, RESCUE_MARGIN_S):
        raise Conflict("the upload took too long; send it again")
    values = {
        "id": admitted.id, "sha256": admitted.sha256, "size": admitted.size, "object_key": admitted.object_key,
        "card": admitted.admission.card, "inspection": admitted.admission.inspection, "profile": admitted.admission.profile,
    }  # fmt: skip
    model_id = await upsert_model(tx, ModelId.new(), owner_id, admitted.name)
    return _version(await insert_version(tx, model_id, values))


async def upload(
    database: Database,
    store: ObjectStore,
    owner_id: UserId,
    *,
    name: str,
    path: Path,
    card: Mapping[str, Any],
    control_flow: bool = False,
) -> ModelVersion:
    """Admit, store and record the file at `path` as the next version of `name`. Raises what its two halves raise."""
    admitted = await admit_upload(database, store, name=name, path=path, card=card, control_flow=control_flow)
    async with database.transaction() as tx:
        return await record_version(tx, owner_id, admitted)


async def find_version(reader: Reader, caller: UserId, reference: str) -> ModelVersion:
    """The version that `name`, `name:3`, `mdl_…` (newest) or `mdv_…` means to this caller: an own model before a public one.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    row = await _find_row(reader, caller, reference)
    if row is None:
        raise NotFound(f"there is no model {reference[:120]!r} that you may run")
    return _version(row)


async def find_own_version(reader: Reader, owner_id: UserId, name: str, version: int | None = None) -> ModelVersion:
    """A version of a model of the caller's own, by the model's name; the newest when no number is given.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    row = await newest_of_name(reader, owner_id, name, version) if NAME.fullmatch(name) else None
    if row is None or UserId.of(row["owner_id"]) != owner_id:
        raise NotFound(f"there is no such model {name[:120]!r} of yours")
    return _version(row)


async def versions_by_id(reader: Reader, ids: Sequence[ModelVersionId]) -> dict[ModelVersionId, ModelVersion]:
    """Versions of running jobs, for the dispatcher: no question of ownership, retired ones too."""
    versions = [_version(row) for row in await select_versions(reader, ids)]
    return {version.id: version for version in versions}


async def list_models(reader: Reader, caller: UserId, *, before: UUID | None, limit: int) -> list[ModelVersion]:
    """The newest version of each model that the caller may run; youngest models first, older than `before`."""
    return [_version(row) for row in await select_page(reader, caller, before, limit)]


async def list_versions(reader: Reader, caller: UserId, reference: str, *, before: int | None, limit: int) -> list[ModelVersion]:
    """All versions of the model that `reference` means, newest first, below `before`. Raises NotFound."""
    newest = await find_version(reader, caller, reference)
    return [_version(row) for row in await select_versions_of(reader, newest.model_id, before, limit)]


async def publish(tx: Transaction, owner_id: UserId, name: str, visibility: str) -> None:
    """Make a model public or private. Raises NotFound."""
    if not await set_visibility(tx, owner_id, name, visibility):
        raise NotFound(f"there is no model {name!r} of yours")


async def delete(tx: Transaction, owner_id: UserId, name: str, version: int | None = None) -> None:
    """Retire a model, or one version of it; submitted jobs still have time to run. Raises NotFound."""
    if version is None:
        keys = await delete_model(tx, owner_id, name)
    else:
        keys = await delete_version(tx, owner_id, name, version)
    if keys is None:
        raise NotFound(f"there is no such model {name!r} of yours")
    await mark_garbage(tx, keys, GARBAGE_DELAY_S)


def checked_name(name: str) -> str:
    """The name itself.

    Raises:
        Invalid: it cannot be a model's name.
    """
    if not NAME.fullmatch(name) or name.startswith(ID_PREFIXES):
        raise Invalid(
            "a model's name has 1 to 100 letters, digits, dots, dashes and underscores and begins with a letter or digit"
        )
    return name


async def _find_row(reader: Reader, caller: UserId, reference: str) -> Row | None:
    if reference.startswith(f"{ModelVersionId.prefix}_"):
        return await version_of_id(reader, caller, ModelVersionId.parse(reference))
    if reference.startswith(f"{ModelId.prefix}_"):
        return await newest_of_model(reader, caller, ModelId.parse(reference))
    name, colon, number = reference.partition(":")
    if not NAME.fullmatch(name) or (colon and not (number.isascii() and number.isdecimal() and len(number) < 10)):
        return None
    return await newest_of_name(reader, caller, name, int(number) if colon else None)


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


async def _hash_of(path: Path) -> bytes:
    digest = hashlib.sha256()
    async for chunk in _chunks(path):
        digest.update(chunk)
    return digest.digest()


def _version(row: Row) -> ModelVersion:
    return ModelVersion(
        id=ModelVersionId.of(row["id"]),
        model_id=ModelId.of(row["model_id"]),
        owner_id=UserId.of(row["owner_id"]),
        name=row["name"],
        visibility=row["visibility"],
        version=row["version"],
        sha256=row["sha256"].hex(),
        size=row["size"],
        object_key=row["object_key"],
        card=row["card"],
        inputs=row["inspection"]["inputs"],
        outputs=row["inspection"]["outputs"],
        inspection=row["inspection"],
        profile=row["profile"],
        created_at=row["created_at"],
    )
