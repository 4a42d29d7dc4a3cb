"""Composition root: the one place that chooses S3 or disk, real or play money.

    services = wiring.build(load_settings())
    …
    await services.close()

Every process of the control plane (a gateway replica, the dispatcher, the clerk, a command) builds its own and passes it down.
"""

from dataclasses import dataclass

from fabric.billing.fake_gateway import FakeGateway
from fabric.billing.gateway import PaymentGateway
from fabric.core.errors import Invalid
from fabric.core.settings import Settings
from fabric.db.engine import Database
from fabric.storage.base import ObjectStore
from fabric.storage.local import LocalStore


@dataclass(frozen=True)
class Services:
    """What a control process is made of."""

    settings: Settings
    database: Database
    store: ObjectStore
    payments: PaymentGateway

    async def close(self) -> None:
        """Give connections back."""
        await self.database.close()


def build(settings: Settings) -> Services:
    """Put the parts together. No connection is opened yet.

    Raises:
        Invalid: with a list of everything that the settings lack.
    """
    missing = missing_settings(settings)
    if missing:
        raise Invalid("The settings are incomplete:\n" + "\n".join(missing))
    assert settings.database.app_url is not None
    database = Database(
        settings.database.app_url.get_secret_value(),
        pool_size=settings.database.pool_size,
        statement_timeout_s=settings.database.statement_timeout_s,
    )
    return Services(settings, database, build_store(settings), FakeGateway())


def missing_settings(settings: Settings) -> list[str]:
    """What a control process needs and has no default."""
    missing = []
    if settings.database.app_url is None:
        missing.append("FABRIC_DATABASE_APP_URL: the application's database URL")
    if settings.auth.jwt_key is None:
        missing.append("FABRIC_AUTH_JWT_KEY: signs access tokens")
    if not settings.storage.url.startswith("s3://"):
        if settings.storage.url != "disk":
            missing.append("FABRIC_STORAGE_URL: `disk` or `s3://bucket/prefix`")
        if settings.storage.public_url is None:
            missing.append("FABRIC_STORAGE_PUBLIC_URL: where the object server can be reached")
        if settings.storage.signing_key is None:
            missing.append("FABRIC_STORAGE_SIGNING_KEY: signs URLs of the disk store")
    if settings.billing.livemode:
        missing.append("FABRIC_BILLING_LIVEMODE: there is only play money yet")
    return missing


def build_store(settings: Settings) -> ObjectStore:
    """The object store that the settings name."""
    storage = settings.storage
    if storage.url.startswith("s3://"):
        from fabric.storage.s3 import S3Store  # boto3 takes half a second, which the disk store need not pay

        return S3Store(storage.url, endpoint_url=storage.endpoint_url, url_expires_s=storage.url_expires_s)
    assert storage.public_url is not None
    assert storage.signing_key is not None
    return LocalStore(
        settings.objects_path,
        public_url=storage.public_url,
        signing_key=storage.signing_key.get_secret_value(),
        url_expires_s=storage.url_expires_s,
    )
