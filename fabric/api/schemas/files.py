"""Bodies of /api/v1/files."""

from pydantic import Field

from fabric.api.schemas.common import Body, Moment
from fabric.files.files import FileFacts, PendingUpload


class FileOut(Body):
    """A file of yours."""

    id: str
    name: str
    media_type: str
    size: int
    """Bytes."""
    sha256: str | None
    """Hexadecimal; null until the content is here."""
    status: str
    """`ready`, or `pending` while a signed upload has not been completed."""
    created_at: Moment

    @classmethod
    def of(cls, file: FileFacts) -> "FileOut":
        """Show a file."""
        return cls(
            id=str(file.id),
            name=file.name,
            media_type=file.media_type,
            size=file.size,
            sha256=file.sha256.hex() if file.sha256 is not None else None,
            status=file.status,
            created_at=file.created_at,
        )


class FilesOut(Body):
    """The files of one upload, in its order."""

    data: list[FileOut]


class UploadIn(Body):
    """Announce a file whose bytes you will PUT to a signed URL."""

    name: str = Field(min_length=1, max_length=255)
    size: int = Field(ge=0)
    """Its exact number of bytes."""
    media_type: str = Field("application/octet-stream", max_length=127)


class SignedUpload(Body):
    """Where to put the bytes."""

    method: str
    url: str
    headers: dict[str, str]
    """Send all of them along."""
    expires_in_s: int


class UploadOut(FileOut):
    """The pending file. PUT the bytes, then POST to `/api/v1/files/{id}/complete`."""

    upload: SignedUpload

    @classmethod
    def of_pending(cls, pending: PendingUpload, expires_in_s: int) -> "UploadOut":
        """Show a pending upload."""
        upload = SignedUpload(method="PUT", url=pending.url.url, headers=pending.url.headers, expires_in_s=expires_in_s)
        return cls(**FileOut.of(pending.file).model_dump(), upload=upload)
