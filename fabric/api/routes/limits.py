"""/api/v1/limits: how large files, models and jobs may be on this fabric, so that it can be said before something is sent."""

from fastapi import APIRouter

from fabric.api.dependencies import Caller, ServicesDep
from fabric.api.schemas.limits import SizesOut
from fabric.codecs.zipped import ENTRIES_MAX, UNPACKED_BYTES_MAX

router = APIRouter(prefix="/api/v1/limits", tags=["files"])


@router.get("", response_model=SizesOut)
async def show_sizes(principal: Caller, services: ServicesDep) -> SizesOut:
    """How large a file, a model, a zip and a job may be."""
    limits = services.settings.limits
    return SizesOut(
        file_bytes=limits.upload_bytes_max,
        model_bytes=limits.model_bytes_max,
        zip_files=ENTRIES_MAX,
        zip_unpacked_bytes=UNPACKED_BYTES_MAX,
        items_per_job=limits.items_per_job_max,
    )
