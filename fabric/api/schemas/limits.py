"""Body of /api/v1/limits."""

from fabric.api.schemas.common import Body


class SizesOut(Body):
    """How large things may be."""

    file_bytes: int
    """One uploaded file."""
    model_bytes: int
    """One model with its assets."""
    zip_files: int
    """Files inside a .zip of pictures, sounds or videos."""
    zip_unpacked_bytes: int
    """All of them together."""
    items_per_job: int
