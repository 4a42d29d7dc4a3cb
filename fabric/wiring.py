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
from fabric.storage import open_store
from fabric.storage.base import ObjectStore


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
    return Services(settings, database, open_store(settings), FakeGateway())


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
