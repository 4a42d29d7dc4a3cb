"""Files that travel inside a model file, such as its tokenizer.json: entries of its metadata, so that one hash covers both.

A protobuf message is extended by appending a field, so nothing of the file is parsed or changed when one is put in.
"""

import re
from collections.abc import Mapping

from fabric.core.errors import Invalid

PREFIX = "asset:"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
ASSET_BYTES_MAX = 32 * 1024**2
_METADATA_FIELD, _KEY_FIELD, _VALUE_FIELD = 14, 1, 2  # ModelProto.metadata_props; StringStringEntryProto


def asset_field(name: str, content: bytes) -> bytes:
    """What to append to an ONNX file so that it holds this asset.

    Raises:
        Invalid: no good name, too large, or no UTF-8 text.
    """
    if not NAME.fullmatch(name):
        raise Invalid(f"{name[:120]!r} cannot be the name of an asset: letters, digits, dots, dashes and underscores.")
    if len(content) > ASSET_BYTES_MAX:
        raise Invalid(f"The asset {name!r} has {len(content)} bytes; {ASSET_BYTES_MAX} are allowed.")
    try:
        content.decode()
    except UnicodeDecodeError:
        raise Invalid(f"The asset {name!r} is no UTF-8 text.") from None
    entry = _field(_KEY_FIELD, (PREFIX + name).encode()) + _field(_VALUE_FIELD, content)
    return _field(_METADATA_FIELD, entry)


def assets_in(metadata: Mapping[str, str]) -> dict[str, str]:
    """The assets among a model's metadata, by name."""
    return {key.removeprefix(PREFIX): value for key, value in metadata.items() if key.startswith(PREFIX)}


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
