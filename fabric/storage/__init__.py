"""Bytes by key: one protocol, two stores."""

from fabric.core.errors import Invalid
from fabric.core.settings import Settings
from fabric.storage.base import ObjectStore


def open_store(settings: Settings) -> ObjectStore:
    """The store that `storage.url` names: a directory or S3 (only then boto3 is loaded).

    Raises:
        Invalid: the storage settings do not fit together.
    """
    storage = settings.storage
    if storage.url.startswith("s3://"):
        from fabric.storage.s3 import S3Store

        return S3Store(storage.url, endpoint_url=storage.endpoint_url, url_expires_s=storage.url_expires_s)
    if storage.url != "disk":
        raise Invalid(f"FABRIC_STORAGE_URL is {storage.url!r}; it must be 'disk' or 's3://bucket/prefix'")
    if storage.signing_key is None:
        raise Invalid("FABRIC_STORAGE_SIGNING_KEY is missing: the disk store cannot sign URLs without it")
    from fabric.storage.local import LocalStore

    return LocalStore(
        settings.objects_path,
        public_url=storage.public_url or "",
        signing_key=storage.signing_key.get_secret_value(),
        url_expires_s=storage.url_expires_s,
    )
