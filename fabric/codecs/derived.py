"""Inputs that the requestor does not give: they come of the same items as another input, such as a mask beside token numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fabric.codecs.base import NO_ASSETS, Assets, BatchDecoder, refuse_unknown_keys
from fabric.codecs.texts import VARIABLE, numpy_dtype
from fabric.core.errors import Invalid

NAME = "derived"
_ENTRY_KEYS = frozenset({"codec", "from", "field", "description"})


class DerivedCodec:
    """`{"codec": "derived", "from": another input, "field": what its codec gives beside the input itself}`."""

    name = NAME
    encoding = ""
    fields: tuple[str, ...] = ()

    def complete_entry(self, entry: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
        """Check the entry by itself; `check_sources` checks it beside the others.

        Raises:
            Invalid: it names no input or no field, or the input takes no numbers.
        """
        refuse_unknown_keys(entry, _ENTRY_KEYS)
        source, field = entry.get("from"), entry.get("field")
        if not isinstance(source, str) or not isinstance(field, str):
            raise Invalid("`from` must name another input, and `field` what that gives.")
        if spec["dtype"] in VARIABLE or numpy_dtype(spec["dtype"]).kind == "b":
            raise Invalid(f"an input of {spec['dtype']} cannot be derived; it must take numbers.")
        return {"codec": NAME, "from": source, "field": field}

    def decoder(self, entry: Mapping[str, Any], spec: Mapping[str, Any], assets: Assets = NO_ASSETS) -> BatchDecoder:
        """None: the source's decoder does it. Raises Invalid."""
        raise Invalid("a derived input cannot be given.")


def sources_of(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """For each derived input which input it comes of, and which field."""
    return {
        name: (str(entry["from"]), str(entry["field"]))
        for name, entry in entries.items()
        if entry.get("codec") == NAME
    }  # fmt: skip


def derived_rank_problem(field: str, spec: Mapping[str, Any]) -> str | None:
    """Say why this input cannot take a field: all have one value for each step but `length`, which has one for each item."""
    rank = 1 if field == "length" else 2
    if len(spec["shape"]) != rank or np.dtype(numpy_dtype(spec["dtype"])).kind not in "iuf":
        return f"{field!r} has {rank} axes of numbers, the model takes {len(spec['shape'])} of {spec['dtype']}"
    return None
