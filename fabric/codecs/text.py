"""Texts to token numbers, by the tokenizer.json that came with the model.

The library is imported, and the file read, where models run and where a model is admitted, nowhere else.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fabric.codecs.base import NO_ASSETS, Array, Assets, BadPayload, Buffer, ItemFailure, Payload, refuse_unknown_keys
from fabric.codecs.strings import check_sizes
from fabric.codecs.texts import STRING, VARIABLE, numpy_dtype
from fabric.core.errors import Invalid

LENGTH_MAX = 32_768  # tokens of one item
LENGTH_DEFAULT = 512
TEXT_BYTES_MAX = 1024**2  # of one item
FIELDS = ("input_ids", "attention_mask", "token_type_ids")
_PADS = ("[PAD]", "<pad>", "<|endoftext|>")
_ENTRY_KEYS = frozenset({"codec", "tokenizer", "max_length", "pad", "special_tokens", "description"})


class TextCodec:
    """`{"codec": "text", "tokenizer": "tokenizer.json", "max_length": tokens, "pad": "batch" | "max", "special_tokens": true}`.

    A text gives `input_ids`, and for derived inputs `attention_mask` and `token_type_ids`. It is cut at `max_length` tokens, and padded
    to the longest of its batch, or always to `max_length`.
    """

    name = "text"
    encoding = "strings"
    fields: tuple[str, ...] = FIELDS

    def complete_entry(self, entry: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
        """Fill in the defaults; `max_length` and `pad` follow the model's axis where it has a fixed size.

        Raises:
            Invalid: the entry cannot feed such an input.
        """
        refuse_unknown_keys(entry, _ENTRY_KEYS)
        if spec["dtype"] in VARIABLE or numpy_dtype(spec["dtype"]).kind not in "iu" or len(spec["shape"]) != 2:
            raise Invalid("token numbers need an input of whole numbers with two axes: items × tokens.")
        tokenizer = entry.get("tokenizer", "tokenizer.json")
        if not isinstance(tokenizer, str) or not tokenizer:
            raise Invalid("`tokenizer` must name a file that comes with the model.")
        fixed = spec["shape"][1]
        length = entry.get("max_length", fixed or LENGTH_DEFAULT)
        if type(length) is not int or not 1 <= length <= LENGTH_MAX or fixed not in {None, length}:
            raise Invalid(f"`max_length` must be from 1 to {LENGTH_MAX}, and {fixed or 'any number'} for this model.")
        pad, special = entry.get("pad", "max" if fixed else "batch"), entry.get("special_tokens", True)
        if pad not in {"batch", "max"} or (fixed and pad == "batch"):
            raise Invalid("`pad` must be batch or max, and max where the model fixes the number of tokens.")
        if not isinstance(special, bool):
            raise Invalid("`special_tokens` must be true or false.")
        return {"codec": self.name, "tokenizer": tokenizer, "max_length": length, "pad": pad, "special_tokens": special}

    def decoder(self, entry: Mapping[str, Any], spec: Mapping[str, Any], assets: Assets = NO_ASSETS) -> "TextDecoder":
        """Compile a completed entry.

        Raises:
            Invalid: the tokenizer did not come with the model, or cannot be read.
        """
        if entry["tokenizer"] not in assets:
            raise Invalid(f"{entry['tokenizer']!r} did not come with the model; upload it as an asset beside the file.")
        return TextDecoder(entry, assets[entry["tokenizer"]])


class TextDecoder:
    """Texts to token numbers."""

    fields: tuple[str, ...] = FIELDS

    def __init__(self, entry: Mapping[str, Any], tokenizer: str):
        """Read the tokenizer. Raises Invalid."""
        from tokenizers import Tokenizer  # only where models run

        self._entry = entry
        try:
            self._tokenizer = Tokenizer.from_str(tokenizer)
            self._tokenizer.no_padding()
            self._tokenizer.enable_truncation(entry["max_length"])
            found = (self._tokenizer.token_to_id(token) for token in _PADS)
            self._pad = next((number for number in found if number is not None), 0)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic of the library's is no Exception
            raise Invalid(f"the tokenizer {entry['tokenizer']!r} cannot be read: {str(error)[:200]}") from None

    def check(self, payload: Payload) -> None:
        """Raises BadPayload: not one text for each item, or sizes that do not add up."""
        if payload.dtype != STRING or payload.shape:
            raise BadPayload("an input of texts takes one text for each item")
        check_sizes(payload, "texts")

    def decode_batch(self, items: Sequence[Buffer]) -> tuple[dict[str, Array], list[ItemFailure]]:
        """Token numbers, mask and types of all items, padded alike."""
        failures: list[ItemFailure] = []
        texts = []
        for index, item in enumerate(items):
            text, problem = _text_of(item)
            texts.append(text)
            if problem is not None:
                failures.append(ItemFailure(index, *problem))
        try:
            encodings = self._tokenizer.encode_batch(texts, add_special_tokens=self._entry["special_tokens"])
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException as error:
            raise BadPayload(f"the tokenizer fails: {str(error)[:200]}") from None
        limit = self._entry["max_length"]
        width = limit if self._entry["pad"] == "max" else max(1, *(min(limit, len(e.ids)) for e in encodings))
        ids, mask, types = (np.full((len(items), width), value, np.int64) for value in (self._pad, 0, 0))
        for row, encoding in enumerate(encodings):
            count = min(width, len(encoding.ids))
            ids[row, :count], mask[row, :count] = encoding.ids[:count], 1
            types[row, :count] = encoding.type_ids[:count]
        return dict(zip(FIELDS, (ids, mask, types), strict=True)), failures


def _text_of(item: Buffer) -> tuple[str, tuple[str, str] | None]:
    if len(item) > TEXT_BYTES_MAX:
        return "", ("text_too_long", f"{len(item)} bytes; {TEXT_BYTES_MAX} are allowed")
    try:
        return bytes(item).decode(), None
    except UnicodeDecodeError:
        return "", ("corrupt_text", "not UTF-8")
