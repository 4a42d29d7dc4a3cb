"""ObjectStore on S3; the only importer of boto3.

boto3 blocks, so every call runs in a thread. SHA-256 is S3's own checksum, which S3 verifies when it is given; an object that
came without one (by signed URL) is read and hashed when it is described. Credentials come by boto3's own chain.
"""

import asyncio
import base64
import hashlib
import tempfile
from collections.abc import AsyncIterator, Callable
from typing import IO, Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from fabric.core.errors import FabricError, NotFound, RangeNotSatisfiable, StorageUnavailable, TooLarge
from fabric.storage.base import CHUNK_BYTES, ObjectFacts, SignedUrl
from fabric.storage.keys import checked_key

DEFAULT_REGION = "us-east-1"
ABSENT = {"404", "NoSuchKey", "NotFound"}
OUTSIDE = {"416", "InvalidRange"}
Result = TypeVar("Result")


class S3Store:
    """ObjectStore on one bucket, under one prefix."""

    def __init__(self, url: str, *, endpoint_url: str | None = None, url_expires_s: int = 900) -> None:
        """Keep objects at `s3://bucket/prefix`."""
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._url_expires_s = url_expires_s
        session = boto3.session.Session()
        self._s3 = session.client(
            "s3",
            endpoint_url=endpoint_url,
            region_name=session.region_name or DEFAULT_REGION,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path" if endpoint_url else "auto"},
                connect_timeout=5,
                read_timeout=60,
                max_pool_connections=32,
                retries={"max_attempts": 4, "mode": "standard"},
                # The default would put checksum parameters into presigned URLs, which a plain PUT cannot honour.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, size_max: int) -> ObjectFacts:
        """Store a stream. It is spooled to disk first: S3 wants length and checksum before the first byte."""
        target = self._target(key)
        digest = hashlib.sha256()
        size = 0
        with tempfile.TemporaryFile() as spool:
            async for chunk in chunks:
                size += len(chunk)
                if size > size_max:
                    raise TooLarge(f"more than {size_max} bytes")
                digest.update(chunk)
                await asyncio.to_thread(spool.write, chunk)
            spool.seek(0)
            return await self._put(target, spool, size, digest.digest())

    async def put_bytes(self, key: str, content: bytes) -> ObjectFacts:
        """Store bytes in hand."""
        return await self._put(self._target(key), content, len(content), hashlib.sha256(content).digest())

    async def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """A range in one piece."""
        return b"".join([chunk async for chunk in self.stream(key, offset, length)])

    async def stream(self, key: str, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """A range in chunks."""
        target = self._target(key)
        if length is None and offset == 0:
            answer = await _in_thread(lambda: self._s3.get_object(**target))
        else:
            size = (await _in_thread(lambda: self._s3.head_object(**target)))["ContentLength"]
            end = size if length is None else offset + length
            if offset < 0 or end < offset or end > size:
                raise RangeNotSatisfiable(f"[{offset}, {end}) lies outside the object of {size} bytes")
            if end == offset:
                return
            answer = await _in_thread(lambda: self._s3.get_object(**target, Range=f"bytes={offset}-{end - 1}"))
        body = answer["Body"]
        try:
            while chunk := await _in_thread(body.read, CHUNK_BYTES):
                yield chunk
        finally:
            body.close()

    async def describe(self, key: str) -> ObjectFacts:
        """Size and hash; reads the object when S3 has no whole-object SHA-256 of it."""
        target = self._target(key)
        head = await _in_thread(lambda: self._s3.head_object(**target, ChecksumMode="ENABLED"))
        checksum = head.get("ChecksumSHA256", "")
        if checksum and "-" not in checksum:
            return ObjectFacts(head["ContentLength"], base64.b64decode(checksum))
        digest = hashlib.sha256()
        size = 0
        async for chunk in self.stream(key):
            digest.update(chunk)
            size += len(chunk)
        return ObjectFacts(size, digest.digest())

    async def delete(self, key: str) -> None:
        """Remove; nothing happens when it is not there."""
        target = self._target(key)
        await _in_thread(lambda: self._s3.delete_object(**target))

    def signed_get(self, key: str, *, offset: int = 0, length: int | None = None, expires_s: int | None = None) -> SignedUrl:
        """A URL to read the object, or exactly one range of it."""
        assert length is None or length > 0, "an empty range has no URL"
        if offset == 0 and length is None:
            return SignedUrl(self._sign("get_object", self._target(key), expires_s), {})
        byte_range = f"bytes={offset}-" if length is None else f"bytes={offset}-{offset + length - 1}"
        url = self._sign("get_object", {**self._target(key), "Range": byte_range}, expires_s)
        return SignedUrl(url, {"Range": byte_range})

    def signed_put(self, key: str, *, size_max: int, exact: bool = False, expires_s: int | None = None) -> SignedUrl:
        """A URL to write the object. S3 holds the uploader to a length only when it is exact."""
        parameters = {**self._target(key), **({"ContentLength": size_max} if exact else {})}
        return SignedUrl(self._sign("put_object", parameters, expires_s), {})

    async def check(self) -> None:
        """Raises StorageUnavailable when the bucket cannot be reached."""
        try:
            await _in_thread(lambda: self._s3.head_bucket(Bucket=self._bucket))
        except NotFound:
            raise StorageUnavailable(f"there is no bucket {self._bucket!r}") from None

    async def _put(self, target: dict[str, Any], body: bytes | IO[bytes], size: int, sha256: bytes) -> ObjectFacts:
        checksum = base64.b64encode(sha256).decode()
        await _in_thread(lambda: self._s3.put_object(**target, Body=body, ContentLength=size, ChecksumSHA256=checksum))
        return ObjectFacts(size, sha256)

    def _target(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": self._prefix + checked_key(key)}

    def _sign(self, operation: str, parameters: dict[str, Any], expires_s: int | None) -> str:
        expires = self._url_expires_s if expires_s is None else expires_s
        try:
            return str(self._s3.generate_presigned_url(operation, Params=parameters, ExpiresIn=expires))
        except BotoCoreError as error:
            raise StorageUnavailable(f"S3 URLs cannot be signed: {error}") from error


async def _in_thread(act: Callable[..., Result], *arguments: object) -> Result:
    try:
        return await asyncio.to_thread(act, *arguments)
    except FabricError:
        raise
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in ABSENT:
            raise NotFound("there is no such object") from None
        if code in OUTSIDE:
            raise RangeNotSatisfiable from None
        raise StorageUnavailable(f"S3 answered {code}") from error
    except (BotoCoreError, OSError) as error:
        raise StorageUnavailable("S3 cannot be reached now") from error
