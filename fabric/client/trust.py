"""Whom the client tells its secrets: which certificates it accepts, and nobody in clear."""

import hashlib
import hmac
import ipaddress
import os
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from fabric.client.errors import PlaintextRefused, WrongCertificate

YES = {"1", "true", "yes", "on"}


class Trust:
    """What is known of one endpoint before anything is sent to it."""

    def __init__(
        self, *, ca_file: str | Path | None = None, fingerprint: str | None = None, allow_plaintext: bool | None = None
    ) -> None:
        """Take what is given, and the rest from FABRIC_CA_FILE, FABRIC_FINGERPRINT and FABRIC_ALLOW_PLAINTEXT.

        Args:
            ca_file: Certificates (PEM) to accept beside the usual authorities.
            fingerprint: `sha256:…` of the one certificate to accept, as `fabric up` prints it.
            allow_plaintext: Send credentials over http:// beyond this machine, because the network is encrypted already.
        """
        self._ca_file = ca_file or os.environ.get("FABRIC_CA_FILE") or None
        self._fingerprint = fingerprint or os.environ.get("FABRIC_FINGERPRINT") or None
        self._allow_plaintext = is_plaintext_allowed() if allow_plaintext is None else allow_plaintext

    def check(self, url: str) -> None:
        """Nothing secret may go to `url` in clear.

        Raises:
            PlaintextRefused: it would.
        """
        parts = urlsplit(url)
        if parts.scheme == "https" or is_loopback(parts.hostname or "") or self._allow_plaintext:
            return
        raise PlaintextRefused(
            f"{parts.scheme}://{parts.netloc} is not encrypted: the credential would cross the network in clear. Use https://, or "
            "say that the network is encrypted already, with allow_plaintext=True (FABRIC_ALLOW_PLAINTEXT=1, --allow-plaintext)."
        )

    def verification(self, *, is_endpoint: bool = True) -> ssl.SSLContext:
        """How connections are verified; only the endpoint itself is held to the fingerprint.

        Raises:
            WrongCertificate: the CA file cannot be used.
        """
        if self._fingerprint and is_endpoint:
            return Pinned.to(self._fingerprint)
        context = httpx.create_ssl_context(trust_env=False)
        if self._ca_file:
            try:
                context.load_verify_locations(cafile=str(self._ca_file))
            except OSError as error:  # ssl.SSLError is one
                raise WrongCertificate(f"the CA file {self._ca_file} cannot be used: {error}") from None
        return context


class Pinned(ssl.SSLContext):
    """Accepts one certificate, whoever issued it, and no other."""

    fingerprint = ""

    @classmethod
    def to(cls, fingerprint: str) -> "Pinned":
        """Accept the certificate with this SHA-256, however it is spelled."""
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # compared below instead, before anything is sent
        context.fingerprint = fingerprint.strip().lower().removeprefix("sha256:").replace(":", "")
        return context

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        """Shake hands, which proves that the other side has the key of what it shows, and look at what that is.

        Raises:
            ssl.SSLCertVerificationError: it is another certificate.
        """
        encrypted = super().wrap_socket(*arguments, **options)
        shown = hashlib.sha256(encrypted.getpeercert(binary_form=True) or b"").hexdigest()
        if not hmac.compare_digest(shown, self.fingerprint):
            encrypted.close()
            raise ssl.SSLCertVerificationError(f"it shows the certificate sha256:{shown}, expected was sha256:{self.fingerprint}")
        return encrypted


def is_about_certificates(error: BaseException | None) -> bool:
    """Whether a connection failed because of the certificate."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def is_plaintext_allowed() -> bool:
    """Whether the environment allows it."""
    return os.environ.get("FABRIC_ALLOW_PLAINTEXT", "").strip().lower() in YES


def is_loopback(host: str) -> bool:
    """Whether what is sent there stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
