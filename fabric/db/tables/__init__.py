"""Imports every table file so that migrations see all of them."""

from fabric.db.tables.audit import audit_log
from fabric.db.tables.billing import (
    auto_top_ups,
    corrections,
    disputes,
    payments,
    payout_accounts,
    payouts,
    promotions,
    quotes,
    refunds,
    stripe_calls,
    stripe_events,
    wallets,
)
from fabric.db.tables.catalog import model_versions, models
from fabric.db.tables.events import events
from fabric.db.tables.files import files, garbage_objects
from fabric.db.tables.gate import gate_grants
from fabric.db.tables.identity import (
    api_keys,
    emailed_tokens,
    idempotency_keys,
    linked_identities,
    recovery_codes,
    refresh_tokens,
    sessions,
    social_log_ins,
    throttles,
    users,
)
from fabric.db.tables.jobs import attempts, job_templates, jobs, subtasks
from fabric.db.tables.mail import mails
from fabric.db.tables.marketplace import demand_factors, market_samples, price_changes
from fabric.db.tables.metadata import metadata
from fabric.db.tables.providers import join_tokens, providers, slots
from fabric.db.tables.webhooks import webhook_deliveries, webhooks

__all__ = [
    "api_keys", "attempts", "audit_log", "auto_top_ups", "corrections", "demand_factors", "disputes", "emailed_tokens", "events",
    "files", "garbage_objects", "gate_grants", "idempotency_keys", "job_templates", "jobs", "join_tokens", "linked_identities", "mails",
    "market_samples", "metadata", "model_versions", "models", "payments", "payout_accounts", "payouts", "price_changes", "promotions",
    "providers", "quotes", "recovery_codes", "refresh_tokens", "refunds", "sessions", "slots", "social_log_ins", "stripe_calls",
    "stripe_events", "subtasks", "throttles",
    "users", "wallets", "webhook_deliveries", "webhooks",
]  # fmt: skip
