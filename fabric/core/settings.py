"""All configuration, read once from FABRIC_* variables into one frozen object.

Sources, first wins: the environment, then `$FABRIC_HOME/run/fabric.env` (mode 0600), which `fabric up` writes so that no
secret travels through Ray or a command line. A group's field `database.app_url` is the variable FABRIC_DATABASE_APP_URL.
`.env.example` and docs/settings.md are generated from the docstrings below.
"""

import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from fabric.core.errors import Invalid

MIB = 1024 * 1024


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class DatabaseSettings(_Group):
    """Postgres."""

    url: SecretStr | None = None
    """Owner's URL (postgresql://…), used by migrations only. Empty: an embedded PostgreSQL 18 is started."""
    app_url: SecretStr | None = None
    """The application's URL: a role that may execute the ledger's named flows and nothing else of it."""
    pool_size: int = 10
    """Connections each process keeps at most."""
    statement_timeout_s: float = 30.0
    """A statement that runs longer is cancelled."""


class StorageSettings(_Group):
    """Object storage."""

    url: str = "disk"
    """`disk` (under $FABRIC_HOME/objects) or `s3://bucket/prefix`."""
    endpoint_url: str | None = None
    """S3 only: another endpoint than Amazon's."""
    public_url: str | None = None
    """Disk only: the address of the object server that requestors and providers can reach."""
    signing_key: SecretStr | None = None
    """Disk only: the key that signs URLs. `fabric up` makes one."""
    url_expires_s: int = 900
    """A signed URL is good for so long."""


class AuthSettings(_Group):
    """Credentials of users."""

    jwt_key: SecretStr | None = None
    """Signs access tokens. `fabric up` makes one."""
    access_token_s: int = 900
    """An access token is good for so long."""
    refresh_token_s: int = 30 * 86_400
    """A refresh token is good for so long."""
    totp_key: SecretStr | None = None
    """Encrypts the secrets of second factors and webhooks in the database. `fabric up` makes one; empty: derived from the JWT key."""
    public_url: str = "http://127.0.0.1:8700"
    """This endpoint as people's browsers reach it, for links in mails and social log-in. `fabric up` sets it."""


class MailSettings(_Group):
    """Mails to users."""

    host: str | None = None
    """The SMTP server. Empty: mails are written to $FABRIC_HOME/mail as .eml files."""
    port: int = 587
    """Its port."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """`starttls`, `tls` from the first byte, or `none` where the network is trusted."""
    user: str | None = None
    """Logs in there as; empty: does not log in."""
    password: SecretStr | None = None
    """Its password."""
    sender: str = "Fabric <fabric@localhost>"
    """From whom mails are."""
    timeout_s: float = 20.0
    """The server must answer within so long."""
    ca_file: str | None = None
    """Certificates (PEM) to accept instead of the usual authorities."""


class IdentityProviderSettings(_Group):
    """One identity provider that speaks OpenID Connect."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]
    """Names it in addresses and in the list of log-ins."""
    issuer: str
    """Its issuer URL; https, or http on this machine."""
    client_id: str
    """What it calls this fabric."""
    client_secret: SecretStr
    """What this fabric shows it."""


class OidcSettings(_Group):
    """Log-in through identity providers (OpenID Connect)."""

    providers: tuple[IdentityProviderSettings, ...] = ()
    """JSON: `[{"name": …, "issuer": "https://…", "client_id": …, "client_secret": …}]`. Empty: none. Each must know the redirect
    URI `<FABRIC_AUTH_PUBLIC_URL>/api/v1/auth/social/<name>/callback`."""
    timeout_s: float = 10.0
    """A provider must answer within so long."""


class LimitSettings(_Group):
    """What one request may ask for."""

    body_bytes_max: int = 1 * MIB
    """A JSON body; larger ones get 413 before they are read."""
    upload_bytes_max: int = 2048 * MIB
    """One uploaded file."""
    model_bytes_max: int = 1024 * MIB
    """One uploaded model."""
    model_control_flow: bool = False
    """Whether a model may hold If, Loop and Scan. How long those run cannot be told beforehand; time limits end them."""
    files_per_upload_max: int = 1000
    """Parts of one multipart upload."""
    items_per_job_max: int = 1_000_000
    """Items of one job."""
    subtasks_per_job_max: int = 100_000
    """Subtasks of one job."""
    jobs_open_max: int = 1000
    """Unfinished jobs of one user."""
    job_templates_max: int = 200
    """Saved templates of one user."""
    results_days: float = 30.0
    """Results are kept for so long after the end of a job that does not say."""
    results_days_max: float = 365.0
    """The longest that a job may say."""
    results_warning_days: float = 3.0
    """An event tells so long before that they will go."""
    inline_input_bytes_max: int = 1 * MIB
    """JSON tensors of one job."""
    api_keys_max: int = 50
    """API keys of one user."""
    join_tokens_max: int = 50
    """Live join tokens of one user."""
    providers_max: int = 1000
    """Machines of one user."""
    requests_per_minute: int = 6000
    """Requests with one credential (an API key may have a lower limit of its own); more get 429."""
    address_requests_per_minute: int = 60_000
    """Requests from one address (IPv6: one /64), whoever sends them."""
    anonymous_requests_per_minute: int = 600
    """Requests without a credential from one address: log-ins, sign-ups, enrolments."""
    watchers_max: int = 1000
    """Open event streams and waiting calls of one gateway; more get 503."""


class DispatchSettings(_Group):
    """The dispatcher."""

    order_target_s: float = 0.7
    """An order is filled so that it runs about this long."""
    orders_per_slot: int = 2
    """Orders outstanding for each slot, so that the wire and the accelerator are busy together."""
    subtasks_per_order_max: int = 512
    """Subtasks in one order."""
    subtask_target_s: float = 0.1
    """Subtasks are cut at submit so that one runs about this long."""
    lease_s: float = 20.0
    """A lease is renewed while its order is known to run; one that ends returns the subtask to the queue."""
    order_timeout_s: float = 120.0
    """An order without an answer for so long is lost, however alive its slot seems."""
    ping_period_s: float = 1.0
    """Each connected slot is pinged this often."""
    ping_timeout_s: float = 5.0
    """A slot that answers no ping for so long is lost."""
    attempts_max: int = 5
    """A subtask that failed so often fails for good."""
    commit_delay_ms: float = 5.0
    """Receipts are gathered for so long before they are settled together."""
    commit_subtasks_max: int = 1024
    """Subtasks settled in one transaction."""
    inline_order_bytes_max: int = 256 * 1024
    """Input bytes that one order carries inline; the rest goes by signed URL."""
    inline_output_bytes_max: int = 64 * 1024
    """Output bytes of one subtask that lie with it in Postgres; larger ones go to object storage."""
    inline_outstanding_bytes_max: int = 256 * MIB
    """Inline bytes of all orders outstanding together."""


class BillingSettings(_Group):
    """Prices."""

    commission_bps: int = 1000
    """The platform's commission in basis points of gross."""
    hold_factor: float = 4.0
    """Without a budget a job holds its expected price times this."""
    stripe_key: SecretStr | None = None
    """Stripe's secret or restricted key. Empty: play money. One that begins with `sk_test_` moves test money, `sk_live_` real money."""
    stripe_webhook_secrets: SecretStr | None = None
    """The signing secrets of Stripe's endpoints for /webhooks/stripe and /webhooks/stripe/v2, separated by commas; two of one while
    it is rolled."""
    stripe_return_url: str | None = None
    """Where Checkout sends people afterwards: this endpoint as browsers reach it."""
    stripe_api_url: str | None = None
    """Another server than Stripe's, for tests."""
    top_up_usd_max: str = "1000"
    """One top-up."""
    quote_s: int = 300
    """A quote holds for so long."""
    funds_grace_s: float = 300.0
    """A job that has used up its budget waits so long for more before it ends with what it has."""
    payout_usd_min: str = "30"
    """No payout is smaller."""
    maturation_days: float = 7.0
    """Earnings can be paid out after so long: the time to find a bad result."""
    maturation_days_good: float = 2.0
    """The same for machines with a good record."""
    good_record_days: float = 30.0
    """A record is good when the machine has earned for so long, and lost nothing to a clawback for three times as long."""


class WebhookSettings(_Group):
    """Webhooks that are sent to users' addresses."""

    endpoints_max: int = 20
    """Webhooks of one user."""
    timeout_s: float = 10.0
    """A receiver must answer within so long."""
    kept_days: float = 30.0
    """Deliveries are listed, and can be sent again, for so long."""
    private_addresses: bool = False
    """Also send to addresses that are not global, such as those of your own network. Whoever has an account here then reaches them."""
    http_to_loopback: bool = False
    """Also send in clear to this machine itself, for trials."""


class RaySettings(_Group):
    """The Ray cluster."""

    address: str | None = None
    """host:port of the GCS, as control processes reach it. `fabric up` sets it."""
    token: SecretStr | None = None
    """The cluster's token; it reaches a provider only through enrolment."""
    gate: bool = True
    """Providers reach the cluster through the gate and no other way. False: they are given `address` and must be trusted."""
    gate_address: str | None = None
    """host:port of the gate for machines elsewhere. Empty: `fabric up --host` sets it, else only its own machines can join."""
    gate_port: int | None = None
    """The gate's port on the control node, for a firewall to name. Empty: any free one, kept over restarts."""
    control_node_id: str | None = None
    """Control deployments are pinned to this Ray node; labels alone are claims."""
    gateway_replicas: int = 1
    """Processes that answer HTTP. Each keeps its own database pool."""
    provider_ports_start: int | None = None
    """First of the 106 ports that each provider's Ray node uses, so that a firewall can name them. Empty: any free ones."""


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix="FABRIC_", env_nested_delimiter="_", env_nested_max_split=1, frozen=True, extra="ignore",
        use_attribute_docstrings=True,
    )  # fmt: skip

    home: Path
    """Holds postgres/ objects/ gcs/ secrets/ logs/ run/. Default: ~/.local/share/fabric, /var/lib/fabric for root."""
    host: str = "127.0.0.1"
    """Where the HTTP endpoint listens."""
    port: int = 0
    """Its port; 0 takes 8700 or the next free one."""
    log_level: str = "info"
    """debug, info, warning or error."""
    cors_origins: str = ""
    """Origins, separated by commas, whose pages may call this endpoint from a browser; `*`: any. Empty: none but its own."""
    trusted_proxies: str = ""
    """Addresses or networks, separated by commas, of your own proxies before this fabric: their X-Forwarded-For is believed."""
    database: DatabaseSettings = DatabaseSettings()
    storage: StorageSettings = StorageSettings()
    auth: AuthSettings = AuthSettings()
    mail: MailSettings = MailSettings()
    oidc: OidcSettings = OidcSettings()
    limits: LimitSettings = LimitSettings()
    dispatch: DispatchSettings = DispatchSettings()
    billing: BillingSettings = BillingSettings()
    webhooks: WebhookSettings = WebhookSettings()
    ray: RaySettings = RaySettings()

    @cached_property
    def mail_path(self) -> Path:
        """Where mails lie when there is no SMTP server."""
        return self.home / "mail"

    @cached_property
    def objects_path(self) -> Path:
        """Where the disk store keeps its objects."""
        return self.home / "objects"


def default_home() -> Path:
    """FABRIC_HOME, else /var/lib/fabric for root and ~/.local/share/fabric for everybody else."""
    if configured := os.environ.get("FABRIC_HOME"):
        return Path(configured).expanduser().absolute()
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/fabric")
    return Path.home() / ".local/share/fabric"


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; `overrides` win over everything (tests use them).

    Raises:
        Invalid: with a list of everything that is wrong.
    """
    home = Path(overrides.pop("home", None) or default_home())
    try:
        return Settings(home=home, _env_file=home / "run" / "fabric.env", **overrides)  # type: ignore[call-arg]
    except ValidationError as error:
        wrong = [f"FABRIC_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        raise Invalid("The settings are wrong:\n" + "\n".join(wrong)) from None
