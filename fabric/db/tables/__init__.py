"""Imports every table file so that migrations see all of them."""

from fabric.db.tables.billing import quotes
from fabric.db.tables.catalog import model_versions, models
from fabric.db.tables.events import events
from fabric.db.tables.files import files, garbage_objects
from fabric.db.tables.identity import api_keys, idempotency_keys, refresh_tokens, users
from fabric.db.tables.jobs import attempts, jobs, subtasks
from fabric.db.tables.metadata import metadata
from fabric.db.tables.providers import join_tokens, providers, slots

__all__ = [
    "api_keys", "attempts", "events", "files", "garbage_objects", "idempotency_keys", "jobs", "join_tokens", "metadata",
    "model_versions", "models", "providers", "quotes", "refresh_tokens", "slots", "subtasks", "users",
]  # fmt: skip
