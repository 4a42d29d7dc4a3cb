"""The codecs by the name that model cards use."""

from collections.abc import Mapping
from typing import Any

from fabric.codecs.base import Codec
from fabric.codecs.image import ImageCodec
from fabric.codecs.tensor import TensorCodec
from fabric.core.errors import Invalid

_CODECS: dict[str, Codec] = {codec.name: codec for codec in (TensorCodec(), ImageCodec())}


def codec_named(name: object) -> Codec:
    """The codec of a card's entry.

    Raises:
        Invalid: there is none of that name.
    """
    codec = _CODECS.get(name) if isinstance(name, str) else None
    if codec is None:
        raise Invalid(f"There is no codec {name!r}; there are {', '.join(_CODECS)}.")
    return codec


def complete_card_inputs(card: Mapping[str, Any], specs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The card's `inputs` for a model with these inputs: every input has an entry (default: tensor), every default is filled in.

    Raises:
        Invalid: an entry names no input, no codec, or does not fit.
    """
    entries = {} if card.get("inputs") is None else card["inputs"]
    if not isinstance(entries, Mapping) or any(not isinstance(entry, Mapping) for entry in entries.values()):
        raise Invalid("The card's `inputs` must map each input's name to its codec entry.")
    if unknown := sorted(set(entries) - set(specs)):
        raise Invalid(f"The card describes {', '.join(map(repr, unknown))}; the model's inputs are {sorted(specs)}.")
    completed = {}
    for name, spec in specs.items():
        entry = entries.get(name, {})
        try:
            completed[name] = codec_named(entry.get("codec", "tensor")).complete_entry(entry, spec)
        except Invalid as error:
            raise Invalid(f"Input {name!r} of the card: {error.detail}") from None
    return completed
