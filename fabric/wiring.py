"""Composition root: the one place that chooses S3 or disk, real or play money.

    services = wiring.build(load_settings())
    …
    await services.close()

Every process of the control plane (a gateway replica, the dispatcher, the clerk, a command) builds its own and passes it down.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fabric.billing.card_gateway import CardGateway
from fabric.billing.fake_gateway import FakeGateway
from fabric.billing.gateway import PaymentGateway, PayoutGateway
from fabric.billing.stripe_facts import is_live
from fabric.core.addresses import networks
from fabric.core.errors import Invalid
from fabric.core.settings import Settings
from fabric.db.engine import Database
from fabric.identity.openid import OpenIdProvider, check_url
from fabric.mail.folder_mailer import FolderMailer
from fabric.mail.mailer import Mailer
from fabric.mail.smtp_mailer import SmtpMailer
from fabric.storage import open_store
from fabric.storage.base import ObjectStore


@dataclass(frozen=True)
class Services:
    """What a control process is made of."""

    settings: Settings
    database: Database
    store: ObjectStore
    payments: PaymentGateway
    payouts: PayoutGateway
    mailer: Mailer
    cards: CardGateway | None = None
    """The same gateway where people pay with cards; None: play money."""
    identity_providers: Mapping[str, OpenIdProvider] = field(default_factory=dict)
    """By name; who logs in through one of them."""

    async def close(self) -> None:
        """Give connections back."""
        if self.cards is not None:
            await self.cards.close()
        for provider in self.identity_providers.values():
            await provider.close()
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
    mailer, providers = build_mailer(settings), build_identity_providers(settings)
    if (cards := build_gateway(settings)) is not None:
        return Services(settings, database, open_store(settings), cards, cards, mailer, cards, providers)
    gateway = FakeGateway()
    return Services(settings, database, open_store(settings), gateway, gateway, mailer, None, providers)


def build_mailer(settings: Settings) -> Mailer:
    """SMTP where a server is named, else the outbox folder."""
    if settings.mail.host is not None:
        return SmtpMailer(settings.mail)
    return FolderMailer(settings.mail_path, settings.mail.sender)


def build_identity_providers(settings: Settings) -> dict[str, OpenIdProvider]:
    """Those that the settings name."""
    return {provider.name: OpenIdProvider(provider, timeout_s=settings.oidc.timeout_s) for provider in settings.oidc.providers}


def build_gateway(settings: Settings) -> CardGateway | None:
    """The gateway to Stripe; None: there is no key, so it is play money."""
    billing = settings.billing
    if billing.stripe_key is None:
        return None
    from fabric.billing.stripe_gateway import StripeGateway  # its SDK takes a second to load, which play money need not wait for

    secrets = billing.stripe_webhook_secrets.get_secret_value() if billing.stripe_webhook_secrets is not None else ""
    return StripeGateway(
        billing.stripe_key.get_secret_value(),
        webhook_secrets=[secret for part in secrets.split(",") if (secret := part.strip())],
        api_url=billing.stripe_api_url,
        return_url=billing.stripe_return_url or f"http://{settings.host}:{settings.port}",
    )


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
    missing += wrong_providers(settings)
    try:
        networks(settings.trusted_proxies)
    except Invalid as error:
        missing.append(f"FABRIC_TRUSTED_PROXIES: {error.detail}")
    if settings.billing.stripe_key is not None and is_live(settings.billing.stripe_key.get_secret_value()):
        if settings.billing.stripe_webhook_secrets is None:
            missing.append("FABRIC_BILLING_STRIPE_WEBHOOK_SECRETS: real money needs webhooks")
        if not (settings.billing.stripe_return_url or "").startswith("https://"):
            missing.append("FABRIC_BILLING_STRIPE_RETURN_URL: where people come back to with real money, https://…")
    return missing


def wrong_providers(settings: Settings) -> list[str]:
    """What is wrong with the identity providers of the settings."""
    wrong = []
    names = [provider.name for provider in settings.oidc.providers]
    if len(names) != len(set(names)):
        wrong.append("FABRIC_OIDC_PROVIDERS: two have one name")
    for provider in settings.oidc.providers:
        try:
            check_url(provider.issuer)
        except Invalid as error:
            wrong.append(f"FABRIC_OIDC_PROVIDERS: {error.detail}")
    return wrong
