"""How object keys are spelled.

A key is `/`-joined segments of lower-case letters, digits, `-` and `_`: it is safe as a path, as an S3 key and in a URL.
The last two characters of an id, which are random, spread objects over folders.
"""

import re

from fabric.core.errors import NotFound
from fabric.core.ids import FileId, JobId, ModelVersionId, SubtaskId

KEY_CHARACTERS_MAX = 255
_KEY = re.compile(r"[a-z0-9_-]+(?:/[a-z0-9_-]+)*")


def checked_key(key: str) -> str:
    """The key itself, when it is spelled as a key must be.

    Raises:
        NotFound: it is not, so nothing can lie there.
    """
    if len(key) > KEY_CHARACTERS_MAX or not _KEY.fullmatch(key):
        raise NotFound(f"{key[:80]!r} is not an object key")
    return key


def file_key(file_id: FileId) -> str:
    """Of a file, or of the pack of one multipart upload, which bears the id of its first file."""
    return f"files/{file_id.hex[-2:]}/{file_id.hex}"


def model_key(sha256: bytes, version_id: ModelVersionId) -> str:
    """Of a model version. The version id keeps equal uploads apart, so that deleting one never touches the other."""
    return f"models/{sha256.hex()}/{version_id.hex}"


def output_key(job_id: JobId, subtask_id: SubtaskId, fence: int) -> str:
    """Of the output of one attempt at a subtask. Each lease has a key of its own, so a late upload overwrites nothing."""
    return f"outputs/{job_id.hex[-2:]}/{job_id.hex}/{subtask_id.hex}-{fence}"
