"""Bodies of /api/v1/webhooks."""

from typing import Annotated, Literal

from pydantic import Field

from fabric.api.schemas.common import Body, Moment
from fabric.webhooks.store import Delivery, Webhook

Event = Literal["job.succeeded", "job.failed", "job.cancelled", "job.results_expiring"]
Url = Annotated[str, Field(min_length=1, max_length=2000, examples=["https://example.com/fabric"])]
Events = Annotated[list[Event], Field(min_length=1, max_length=20)]
Description = Annotated[str, Field(max_length=200)]


class WebhookIn(Body):
    """An address that wants to be told."""

    url: Url
    """https, at a global address."""
    events: Events | None = None
    """What it is told of; default: everything."""
    description: Description = ""
    """To recognise it by."""


class WebhookChangeIn(Body):
    """What shall become different."""

    url: Url | None = None
    events: Events | None = None
    description: Description | None = None
    enabled: bool | None = None
    """False: nothing is sent, and what waits is given up."""


class WebhookOut(Body):
    """A webhook as its owner sees it."""

    id: str
    url: str
    events: list[str]
    description: str
    enabled: bool
    switched_off_because: str | None
    """Why this fabric has switched it off."""
    failing_since: Moment | None
    """When a delivery was given up; null once one comes through."""
    created_at: Moment

    @classmethod
    def of(cls, webhook: Webhook) -> "WebhookOut":
        """Show one without its secret."""
        return cls(
            id=str(webhook.id), url=webhook.url, events=webhook.events, description=webhook.description, enabled=webhook.enabled,
            switched_off_because=webhook.switched_off_because, failing_since=webhook.failing_since, created_at=webhook.created_at,
        )  # fmt: skip


class WebhookCreated(WebhookOut):
    """A new webhook with its secret."""

    secret: str
    """`whsec_…`, verifies signatures; shown this once."""


class DeliveryOut(Body):
    """One thing told."""

    id: str
    """Its `webhook-id`, the same however often it is sent."""
    event: str
    job_id: str | None
    status: Literal["pending", "delivered", "given_up"]
    attempts: int
    next_try_at: Moment | None
    response_status: int | None
    """Of the last try."""
    failure: str | None
    """Why the last try was none."""
    created_at: Moment
    finished_at: Moment | None

    @classmethod
    def of(cls, delivery: Delivery) -> "DeliveryOut":
        """Show one."""
        return cls(
            id=str(delivery.id), event=delivery.event, job_id=None if delivery.job_id is None else str(delivery.job_id),
            status=delivery.status, attempts=delivery.attempts, next_try_at=delivery.next_try_at,  # type: ignore[arg-type]
            response_status=delivery.response_status, failure=delivery.failure, created_at=delivery.created_at,
            finished_at=delivery.finished_at,
        )  # fmt: skip
