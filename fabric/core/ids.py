"""Prefixed, time-ordered identifiers (job_, sub_, att_, prv_, usr_ …) as distinct types.

Each id is a UUID (version 7), so the database stores 16 bytes and sorts by time; people and HTTP see
`<prefix>_<26 characters of Crockford base 32>`.
"""

import os
import time
import uuid
from typing import ClassVar, Self

from fabric.core.errors import NotFound

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
TEXT_LENGTH = 26
_VALUE_OF = {character: value for value, character in enumerate(ALPHABET)}


class Id(uuid.UUID):
    """A UUID with a visible prefix. `str()` gives the public form, `.hex` and `.bytes` the stored one."""

    prefix: ClassVar[str] = "id"

    @classmethod
    def new(cls) -> Self:
        """Make a fresh id; later ids sort after earlier ones (millisecond precision)."""
        milliseconds = time.time_ns() // 1_000_000
        random_bits = int.from_bytes(os.urandom(10))
        value = (milliseconds & (1 << 48) - 1) << 80 | random_bits
        value = value & ~(0xF << 76) | 0x7 << 76  # version 7
        value = value & ~(0x3 << 62) | 0x2 << 62  # RFC 9562 variant
        return cls(int=value)

    @classmethod
    def of(cls, value: uuid.UUID) -> Self:
        """Give a UUID that came from the database its type."""
        return cls(int=value.int)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the public form.

        Raises:
            NotFound: the text is no id of this kind, so nothing of that name can exist.
        """
        prefix, separator, digits = text.rpartition("_")
        if not separator or prefix != cls.prefix or len(digits) != TEXT_LENGTH:
            raise NotFound(f"{text!r} is not a {cls.prefix}_… id")
        value = 0
        for character in digits:
            if character not in _VALUE_OF:
                raise NotFound(f"{text!r} is not a {cls.prefix}_… id")
            value = value << 5 | _VALUE_OF[character]
        if value >> 128:
            raise NotFound(f"{text!r} is not a {cls.prefix}_… id")
        return cls(int=value)

    def __str__(self) -> str:
        value = self.int
        digits = [ALPHABET[value >> shift & 31] for shift in range(125, -1, -5)]
        return f"{self.prefix}_{''.join(digits)}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class UserId(Id):
    """A person who logs in."""

    prefix = "usr"


class ApiKeyId(Id):
    """An API key."""

    prefix = "key"


class SessionId(Id):
    """One log-in of a person."""

    prefix = "ses"


class IdentityId(Id):
    """Somebody as an identity provider knows them."""

    prefix = "idt"


class AuditId(Id):
    """One line of the audit log."""

    prefix = "aud"


class MailId(Id):
    """One mail."""

    prefix = "mail"


class WebhookId(Id):
    """An address that wants to be told."""

    prefix = "whk"


class DeliveryId(Id):
    """One thing told to a webhook; its `webhook-id`."""

    prefix = "msg"


class FileId(Id):
    """An uploaded file."""

    prefix = "file"


class ModelId(Id):
    """A model in the catalogue."""

    prefix = "mdl"


class ModelVersionId(Id):
    """One version of a model."""

    prefix = "mdv"


class JobId(Id):
    """A customer's job."""

    prefix = "job"


class JobTemplateId(Id):
    """A saved job body."""

    prefix = "tpl"


class SubtaskId(Id):
    """One part of a job."""

    prefix = "sub"


class AttemptId(Id):
    """One try at a subtask."""

    prefix = "att"


class OrderId(Id):
    """One message of several subtasks to a slot."""

    prefix = "ord"


class ProviderId(Id):
    """A machine on offer."""

    prefix = "prv"


class JoinTokenId(Id):
    """A token that lets machines join."""

    prefix = "jtk"


class QuoteId(Id):
    """A price promise."""

    prefix = "quo"


class PriceChangeId(Id):
    """An operator's decision on prices."""

    prefix = "prc"


class TransactionId(Id):
    """A ledger transaction."""

    prefix = "txn"


class PayoutId(Id):
    """Earnings on their way to an owner's bank."""

    prefix = "pay"


class RefundId(Id):
    """Unspent credit on its way back to a requestor."""

    prefix = "rfd"


class PromotionId(Id):
    """Credit that was given."""

    prefix = "prm"


class RequestId(Id):
    """One HTTP request."""

    prefix = "req"
