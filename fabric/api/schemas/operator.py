"""Bodies of /api/v1/operator."""

from typing import Annotated

from pydantic import Field

from fabric.api.schemas.common import Body


class BanIn(Body):
    """Why a machine is cut off."""

    reason: Annotated[str, Field(min_length=1, max_length=500)]
    """For the records; the machine's owner is not told."""
