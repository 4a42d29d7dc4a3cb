"""Encrypts secrets that must be readable again before they lie in the database: those of second factors and of webhooks."""

import base64

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fabric.core.settings import AuthSettings

SECOND_FACTOR = "fabric second factor"
WEBHOOK = "fabric webhook"


def cipher(settings: AuthSettings, purpose: str) -> Fernet:
    """What encrypts secrets of one purpose: each has a key of its own, derived from the one in the settings."""
    key = settings.totp_key or settings.jwt_key
    assert key is not None, "wiring refuses settings without it"
    derived = HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(key.get_secret_value().encode())
    return Fernet(base64.urlsafe_b64encode(derived))
