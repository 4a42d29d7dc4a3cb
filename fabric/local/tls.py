"""Certificates of the endpoint: those that people bring, read and checked, and a self-signed one for those who have none yet."""

import ipaddress
import re
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fabric.core import clock
from fabric.core.errors import Invalid
from fabric.local.home import Home

SELF_SIGNED = "self-signed"
SELF_SIGNED_DAYS = 365
RENEW_DAYS = 30  # a self-signed certificate that ends sooner is made anew at the next start
RSA_BITS_MIN = 2048
SECRET_NAME = "tls.pem"  # noqa: S105 - the name of a file
KEY_BLOCK = re.compile(rb"-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?-----END \1PRIVATE KEY-----", re.DOTALL)


@dataclass(frozen=True)
class TlsChoice:
    """Which certificate was asked for."""

    certificate: Path | None
    """PEM, the chain included; None: self-signed."""
    key: Path | None
    """PEM; None with a certificate: it lies in the same file."""


@dataclass(frozen=True)
class Certificate:
    """A certificate with its key, checked to belong together."""

    pem: bytes
    """Key, certificate and chain in one, as HAProxy reads them."""
    names: tuple[str, ...]
    """The DNS names that it is for; the first label may be `*`."""
    addresses: tuple[str, ...]
    """The IP addresses that it is for."""
    ends_at: datetime
    fingerprint: str
    """`sha256:` and the SHA-256 of the certificate in hex."""
    is_self_signed: bool

    @property
    def public_pem(self) -> bytes:
        """The certificate and its chain, without the key."""
        return KEY_BLOCK.sub(b"", self.pem).lstrip()

    def covers(self, host: str) -> bool:
        """Whether a client that asks for `host` will accept it."""
        if is_address(host):
            return str(ipaddress.ip_address(host)) in self.addresses
        wanted = host.lower()
        return any(name in {wanted, f"*.{wanted.partition('.')[2]}"} for name in self.names)


@dataclass(frozen=True)
class Tls:
    """How the endpoint proves who it is."""

    certificate: Certificate
    name: str
    """The DNS name or address under which others reach it; the certificate covers it."""
    files: tuple[Path, ...]
    """Where it was read from; watched for a renewal."""
    public_file: Path
    """The certificate without its key, for those who must be told to trust it."""

    @property
    def is_strict(self) -> bool:
        """Whether browsers may be told to insist on TLS: never for a certificate that they must first be told to trust."""
        return not self.certificate.is_self_signed and not is_address(self.name)


def choose_tls(kind: str | None, certificate: Path | None, key: Path | None) -> TlsChoice | None:
    """What the command line asks for; None: no TLS.

    Raises:
        Invalid: it asks for two things at once, or for half of one.
    """
    if kind not in {None, SELF_SIGNED}:
        raise Invalid(f"--tls takes `{SELF_SIGNED}`, for a first try; a certificate of yours goes to --tls-cert and --tls-key.")
    if kind and (certificate or key):
        raise Invalid("Either --tls self-signed or a certificate of yours with --tls-cert and --tls-key, not both.")
    if key and not certificate:
        raise Invalid("--tls-key is the key of a certificate; give that as well, with --tls-cert.")
    return TlsChoice(certificate, key) if kind or certificate else None


def prepare_tls(choice: TlsChoice, home: Home, *, host: str, advertised: str, name: str | None) -> Tls:
    """Read the certificate, or make one, and settle under which name others reach the endpoint.

    Args:
        choice: Which certificate.
        home: Keeps a self-signed one.
        host: What the endpoint binds.
        advertised: This machine's address, for others.
        name: The wanted name; None: `advertised` if the certificate is for it, else the first name it is for.

    Raises:
        Invalid: the certificate cannot be used, or is for other names.
    """
    if choice.certificate is None:
        return _prepare_self_signed(home, host=host, advertised=advertised, name=name)
    certificate = read_certificate(choice.certificate, choice.key)
    chosen = name or next((n for n in (advertised, *certificate.names, *certificate.addresses) if certificate.covers(n)), None)
    if chosen is None or not certificate.covers(chosen):
        is_for = ", ".join((*certificate.names, *certificate.addresses)) or "no host at all"
        raise Invalid(
            f"The certificate in {choice.certificate} is for {is_for}; it cannot prove who {chosen or advertised} is. "
            "Give --name with a name that it is for and that leads here."
        )
    files = (choice.certificate, choice.key) if choice.key else (choice.certificate,)
    return Tls(certificate, chosen, files, _publish(home, certificate))


def read_certificate(certificate: Path, key: Path | None = None) -> Certificate:
    """Read a certificate with its chain, and its key (by default from the same file).

    Raises:
        Invalid: with what is wrong: unreadable, damaged, encrypted, weak, not of each other, or not valid now.
    """
    try:
        chain_pem, key_pem = certificate.read_bytes(), (key or certificate).read_bytes()
    except OSError as error:
        raise Invalid(f"{error.filename} cannot be read: {error.strerror}") from None
    try:
        chain = x509.load_pem_x509_certificates(chain_pem)
    except ValueError:
        raise Invalid(f"{certificate} holds no certificate in PEM form.") from None
    found = KEY_BLOCK.search(key_pem)
    if found is None:
        raise Invalid(f"{key or certificate} holds no private key in PEM form; name its file with --tls-key.")
    private = _private_key(found.group(), key or certificate)
    if _public_bytes(private.public_key()) != _public_bytes(chain[0].public_key()):
        raise Invalid(f"The key in {key or certificate} is not that of the first certificate in {certificate}.")
    leaf, now = chain[0], clock.now()
    if not leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc:
        raise Invalid(f"{certificate} is valid from {leaf.not_valid_before_utc} to {leaf.not_valid_after_utc}, which is not now.")
    return _certificate(private, chain)


def read_end(path: Path) -> datetime:
    """Until when the certificate in this file is good."""
    return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc


def _private_key(pem: bytes, path: Path) -> CertificateIssuerPrivateKeyTypes:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except TypeError:
        raise Invalid(f"The key in {path} is encrypted. Decrypt it into a file that only you can read (mode 0600).") from None
    except (ValueError, UnsupportedAlgorithm):
        raise Invalid(f"The key in {path} cannot be read.") from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= RSA_BITS_MIN:
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key
    raise Invalid(f"The key in {path} is neither RSA with at least {RSA_BITS_MIN} bits nor on an elliptic curve.")


def _prepare_self_signed(home: Home, *, host: str, advertised: str, name: str | None) -> Tls:
    wanted = [name or advertised, advertised, socket.gethostname(), "localhost", "127.0.0.1", "::1"]
    if not is_unspecified(host):
        wanted.append(host)
    path = home.secrets / SECRET_NAME
    certificate = None
    if path.exists():
        try:
            kept = read_certificate(path)
        except Invalid:  # it has ended, or is damaged: the next one replaces it
            kept = None
        if kept and kept.ends_at - clock.now() > timedelta(days=RENEW_DAYS) and all(map(kept.covers, wanted)):
            certificate = kept
    if certificate is None:
        home.keep_secret(SECRET_NAME, _make_self_signed(wanted).decode())
        certificate = read_certificate(path)
    return Tls(certificate, name or advertised, (path,), _publish(home, certificate))


def _make_self_signed(hosts: list[str]) -> bytes:
    """Key and certificate in PEM. It can sign no other certificate: who trusts it trusts this endpoint and nothing else."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Fabric, self-signed")])
    unique = list(dict.fromkeys(host.lower() for host in hosts))
    names: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_address(host)) if is_address(host) else x509.DNSName(host) for host in unique
    ]
    now = clock.now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # for clocks that are behind
        .not_valid_after(now + timedelta(days=SELF_SIGNED_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _certificate(key, [certificate]).pem


def _certificate(key: CertificateIssuerPrivateKeyTypes, chain: list[x509.Certificate]) -> Certificate:
    leaf = chain[0]
    try:
        alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = tuple(name.lower() for name in alternatives.get_values_for_type(x509.DNSName))
        addresses = tuple(map(str, alternatives.get_values_for_type(x509.IPAddress)))
    except x509.ExtensionNotFound:  # clients look nowhere else
        names = addresses = ()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain)
    return Certificate(
        pem, names, addresses, leaf.not_valid_after_utc, f"sha256:{leaf.fingerprint(hashes.SHA256()).hex()}",
        is_self_signed=leaf.issuer == leaf.subject,
    )  # fmt: skip


def _publish(home: Home, certificate: Certificate) -> Path:
    """Write the certificate without its key where everybody who may enter the home can read it."""
    path = home.path / "certificate.pem"
    path.write_bytes(certificate.public_pem)
    path.chmod(0o644)
    return path


def _public_bytes(key: object) -> bytes:
    assert hasattr(key, "public_bytes"), "every kind of public key has this"
    encoded: bytes = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return encoded


def is_address(host: str) -> bool:
    """Whether it is an IP address, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_unspecified(host: str) -> bool:
    """Whether it means every interface."""
    return is_address(host) and ipaddress.ip_address(host).is_unspecified
