"""Whom the agent tells its secrets: which certificates it accepts, and nobody in clear."""

import hashlib
import hmac
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import certifi

from provider_join.config import Home, Options, Stop
from provider_join.install import is_loopback
from provider_join.tunnel import plain_way


@dataclass(frozen=True, slots=True)
class Trust:
    """What the owner said about the fabric's certificate."""

    ca_file: Path | None = None
    fingerprint: str | None = None
    allow_plaintext: bool = False

    def check(self, url: str) -> None:
        """No token and no credential goes to `url` in clear.

        Raises:
            Stop: it would.
        """
        parts = urlsplit(url)
        if parts.scheme == "https" or is_loopback(parts.hostname or "") or self.allow_plaintext:
            return
        raise Stop(
            f"{url} is not encrypted: this machine's token and credential would cross the network in clear. Use https://, or say "
            "with --allow-plaintext (FABRIC_ALLOW_PLAINTEXT=1) that the network is encrypted already.", 2,
        )  # fmt: skip

    def check_way(self, address: str) -> None:
        """Neither this machine's key nor the cluster's token crosses a network in clear.

        Raises:
            Stop: they would, on the way to the gate (or to Ray, where there is none) at `address`.
        """
        if self.allow_plaintext or (way := plain_way(address)) is None:
            return
        raise Stop(
            f"The fabric's gate at {address} is reached over {way}. What Ray says there is not encrypted: the cluster's token, this "
            "machine's key for the gate, small inputs and results would cross the network in clear, for others to read and to use. Reach "
            "the fabric through WireGuard, or say with --allow-plaintext (FABRIC_ALLOW_PLAINTEXT=1) that the network is encrypted already.", 2,
        )  # fmt: skip

    def verification(self) -> ssl.SSLContext:
        """How connections to the fabric are verified.

        Raises:
            Stop: the CA file cannot be used.
        """
        if self.fingerprint:
            return Pinned.to(self.fingerprint)
        context = ssl.create_default_context(cafile=certifi.where())
        if self.ca_file is not None:
            try:
                context.load_verify_locations(cafile=str(self.ca_file))
            except OSError as error:  # ssl.SSLError is one
                raise Stop(f"The CA file {self.ca_file} cannot be used: {error}", 2) from None
        return context


def trust_of(options: Options) -> Trust:
    """What the command line says about it."""
    return Trust(options.ca_file, options.fingerprint, options.allow_plaintext)


class Pinned(ssl.SSLContext):
    """Accepts one certificate, whoever issued it, and no other."""

    fingerprint = ""
    shown = b""
    """The certificate, once it was seen."""

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
        shown = encrypted.getpeercert(binary_form=True) or b""
        found = hashlib.sha256(shown).hexdigest()
        if not hmac.compare_digest(found, self.fingerprint):
            encrypted.close()
            raise ssl.SSLCertVerificationError(f"it shows the certificate sha256:{found}, expected was sha256:{self.fingerprint}")
        self.shown = shown
        return encrypted


def keep_for_node(home: Home, trust: Trust, context: ssl.SSLContext) -> None:
    """Let the Ray node accept what the agent accepts, for the signed URLs by which work comes; call once the fabric answered."""
    path = trusted_file(home)
    if isinstance(context, Pinned) and context.shown:
        pem = ssl.DER_cert_to_PEM_cert(context.shown)
    elif trust.ca_file is not None:
        pem = trust.ca_file.read_text()
    else:
        path.unlink(missing_ok=True)
        return
    usual = Path(os.environ.get("SSL_CERT_FILE") or certifi.where())
    home.write_private(path, f"{usual.read_text().rstrip()}\n{pem}")


def trusted_file(home: Home) -> Path:
    """Where the Ray node finds what it accepts, when that is more than usual."""
    return home.run / "trusted.pem"
