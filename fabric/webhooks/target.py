"""Where a webhook may be sent: to an https URL, at one global address that its name has at that moment.

A name is looked up once, and the connection goes to the address that was checked, so a name that changes its mind in between
leads nowhere else.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

import httpx

from fabric.core.errors import Invalid
from fabric.core.settings import WebhookSettings

URL_CHARACTERS_MAX = 2000
LOOPBACK_NAMES = frozenset({"localhost"})
PORTS = {"https": 443, "http": 80}
PORTS_END = 65_536


class TargetRefused(Exception):
    """Nothing may be sent there."""


def checked_url(text: str, settings: WebhookSettings) -> str:
    """The URL of a receiver, as far as it can be judged without looking its name up.

    Raises:
        Invalid: no webhook can go there, and why.
    """
    if not text.isascii() or not text.isprintable() or " " in text or len(text) > URL_CHARACTERS_MAX:
        raise Invalid(f"The URL of a webhook has at most {URL_CHARACTERS_MAX} printable ASCII characters and no space.")
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise Invalid("The URL of a webhook is one that can be read: https://example.com/path.") from error
    if not url.host or url.userinfo or url.fragment:
        raise Invalid("The URL of a webhook names a host, and has no user name, password or fragment.")
    if url.port is not None and not 0 < url.port < PORTS_END:
        raise Invalid("There is no such port.")
    if not _is_scheme_allowed(url, settings):
        raise Invalid("The URL of a webhook begins with https://.")
    address = _literal(url.host)
    if address is not None and not is_allowed(address, url.scheme, settings):
        raise Invalid("A webhook goes to a global address, not into a network of this fabric's own.")
    return text


async def address_of(url: httpx.URL, settings: WebhookSettings) -> str:
    """The one address to connect to; looked up now.

    Raises:
        TargetRefused: the name leads nowhere that is allowed.
        OSError: it has no address.
    """
    if not _is_scheme_allowed(url, settings):
        raise TargetRefused("only https is sent to")
    port = url.port or PORTS[url.scheme]
    found = await asyncio.get_running_loop().getaddrinfo(url.raw_host.decode("ascii"), port, type=socket.SOCK_STREAM)
    return chosen([str(entry[4][0]) for entry in found], url.scheme, settings)


def chosen(addresses: Sequence[str], scheme: str, settings: WebhookSettings) -> str:
    """Pure: the first that is allowed.

    Raises:
        TargetRefused: none is.
    """
    for address in addresses:
        if (parsed := _literal(address)) is not None and is_allowed(parsed, scheme, settings):
            return address
    raise TargetRefused("the name leads to no global address")


def is_allowed(address: ipaddress.IPv4Address | ipaddress.IPv6Address, scheme: str, settings: WebhookSettings) -> bool:
    """Pure: whether something may be sent there."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_allowed(address.ipv4_mapped, scheme, settings)
        # Some carry an IPv4 address inside (6to4, Teredo, NAT64), and whoever translates it decides where it leads.
        if address.scope_id or address.sixtofour or address.teredo or (address.is_reserved and not address.is_loopback):
            return False
        if address.is_site_local and not settings.private_addresses:
            return False
    if scheme == "http":
        return settings.http_to_loopback and address.is_loopback
    if address.is_multicast or address.is_unspecified:
        return False
    return settings.private_addresses or address.is_global


def _is_scheme_allowed(url: httpx.URL, settings: WebhookSettings) -> bool:
    if url.scheme == "http":
        address = _literal(url.host)
        return settings.http_to_loopback and (url.host in LOOPBACK_NAMES or (address is not None and address.is_loopback))
    return url.scheme == "https"


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
