"""What a finished job did not deliver, as a job of its own."""

from fabric.catalog import registry
from fabric.core.errors import Conflict, NotFound
from fabric.core.ids import ModelVersionId, UserId
from fabric.core.settings import Settings
from fabric.db.engine import Database
from fabric.files.store import waiting_garbage
from fabric.jobs import store, subtask_store
from fabric.jobs.job import Job
from fabric.jobs.lifecycle import is_finished
from fabric.jobs.resolve import ResolvedJob, cut
from fabric.jobs.select import Range, join_ranges, select_inputs
from fabric.storage.base import ObjectStore


async def resolve_missing(
    database: Database, objects: ObjectStore, settings: Settings, owner_id: UserId, job: Job, wanted: int | None = None
) -> tuple[ResolvedJob, list[Range]]:
    """The items of a finished job that have no result, laid out as a job; and which items they are.

    It runs the very same version of the model on the very same bytes.

    Args:
        database: Read from.
        objects: Looked into, whether the inputs are there still.
        settings: Limits of this fabric.
        owner_id: Whose job it is.
        job: The finished one.
        wanted: Items for each subtask, if the requestor says.

    Raises:
        Conflict: it has not ended, lacks nothing, or its inputs were deleted.
        NotFound: its model was deleted.
    """
    if not is_finished(job.status):
        raise Conflict("This job has not ended; only what is missing at the end can be done again.")
    async with database.reading() as reader:
        missing = join_ranges(await subtask_store.missing_ranges(reader, job.id))
        if not missing:
            raise Conflict("Every item of this job was delivered; there is nothing to do again.")
        inputs = select_inputs(await store.inputs_of(reader, job.id), missing)
        version = await registry.find_version(reader, owner_id, str(ModelVersionId.of(job.model_version_id)))
        keys = {part["key"] for stored in inputs.values() for part in stored["parts"] if "key" in part}
        leaving = await waiting_garbage(reader, sorted(keys))
    if leaving or not await _are_there(objects, keys):
        raise Conflict("The files that this job took as inputs were deleted; submit it again with others.")
    items = sum(count for _, count in missing)
    return ResolvedJob(version, items, cut(version, items, settings, wanted), inputs), missing


async def _are_there(objects: ObjectStore, keys: set[str]) -> bool:
    try:
        for key in keys:
            await objects.describe(key)
    except NotFound:
        return False
    return True
