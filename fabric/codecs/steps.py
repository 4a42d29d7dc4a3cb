"""What can be done to a model's output on the machine that computed it: softmax, pooling, best classes, transcripts, boxes, images.

A step is named in the card: `{"do": "softmax"}`. It is checked against the output once (`complete`), then applied to the rows of a
batch. Pure NumPy, but for images.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fabric.codecs.base import refuse_unknown_keys
from fabric.codecs.texts import STRING, VARIABLE, array_of, numpy_dtype
from fabric.core.errors import Invalid

JSON_TYPE = "application/json"
TOP_K_MAX = 10_000
TINY = 1e-12

Array = NDArray[Any]
Spec = dict[str, Any]  # {"dtype", "shape", and of texts and bytes "media_type"}
Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Around:
    """What a step may look at beside its own output: specs while the card is checked, arrays while it runs."""

    outputs: Mapping[str, Any]
    inputs: Mapping[str, Any]
    labels: Sequence[str] | None = None


class BadOutput(ValueError):
    """The model gave something that this step cannot use."""


@dataclass(frozen=True, slots=True)
class Step:
    """`complete` gives the entry with its defaults and what the output then is, or raises Invalid; `apply` computes it."""

    complete: Callable[[Entry, Spec, Around], tuple[Entry, Spec]]
    apply: Callable[[Array, Entry, Around], Array]
    uses: Callable[[Entry], list[str]] = field(default=lambda entry: [])  # other outputs


def integer(entry: Mapping[str, Any], key: str, default: int, low: int, high: int) -> int:
    """A whole number of an entry. Raises Invalid."""
    value = entry.get(key, default)
    if type(value) is not int or not low <= value <= high:
        raise Invalid(f"`{key}` must be a whole number from {low} to {high}.")
    return value


def fraction(entry: Mapping[str, Any], key: str, default: float) -> float:
    """A number from 0 to 1 of an entry. Raises Invalid."""
    value = entry.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise Invalid(f"`{key}` must be a number from 0 to 1.")
    return float(value)


def need_floats(spec: Spec, rank_min: int = 1) -> None:
    """Check that an output holds floating numbers and has so many axes, the items' included. Raises Invalid."""
    if spec["dtype"] in VARIABLE or numpy_dtype(spec["dtype"]).kind != "f":
        raise Invalid(f"needs floating numbers, not {spec['dtype']}.")
    if len(spec["shape"]) < rank_min:
        raise Invalid(f"needs {rank_min} axes, the items' included; the output has {len(spec['shape'])}.")


def check_label_count(labels: Sequence[str] | None, classes: Any) -> None:
    """Check that there is a label for each class, where the model says how many there are. Raises Invalid."""
    if labels is not None and isinstance(classes, int) and len(labels) != classes:
        raise Invalid(f"{len(labels)} labels for {classes} classes.")


def json_texts(items: Sequence[Any]) -> Array:
    """One JSON text for each item."""
    return array_of([json.dumps(item, ensure_ascii=False, allow_nan=False) for item in items], (len(items),))


def number(value: Any) -> float | None:
    """A number for JSON, which has none that are not finite."""
    return float(value) if np.isfinite(value) else None


JSON_SPEC: Spec = {"dtype": STRING, "shape": [None], "media_type": JSON_TYPE}


def _elementwise(entry: Entry, spec: Spec, around: Around) -> tuple[Entry, Spec]:
    refuse_unknown_keys(entry, frozenset({"do"}))
    need_floats(spec)
    return dict(entry), spec


def _softmax(values: Array, entry: Entry, around: Around) -> Array:
    wide = values.astype(np.float64)
    raised = np.exp(wide - wide.max(axis=-1, keepdims=True, initial=-np.inf, where=~np.isnan(wide)))
    shares: Array = raised / raised.sum(axis=-1, keepdims=True)
    return shares.astype(values.dtype)


def _sigmoid(values: Array, entry: Entry, around: Around) -> Array:
    shares: Array = 0.5 * (1 + np.tanh(0.5 * values.astype(np.float64)))  # does not overflow
    return shares.astype(values.dtype)


def _normalize(values: Array, entry: Entry, around: Around) -> Array:
    wide = values.astype(np.float64)
    unit: Array = wide / np.maximum(np.linalg.norm(wide, axis=-1, keepdims=True), TINY)
    return unit.astype(values.dtype)


def _complete_pool(entry: Entry, spec: Spec, around: Around) -> tuple[Entry, Spec]:
    refuse_unknown_keys(entry, frozenset({"do", "mask"}))
    need_floats(spec, 3)
    if len(spec["shape"]) != 3:
        raise Invalid("needs an output of items × steps × features.")
    mask = entry.get("mask")
    if mask is not None and mask not in around.inputs:
        raise Invalid(f"`mask` {str(mask)[:80]!r} is no input; there are {', '.join(around.inputs)}.")
    if mask is not None and len(around.inputs[mask]["shape"]) != 2:
        raise Invalid(f"`mask` {mask!r} must be an input of items × steps.")
    return {"do": "mean_pool", "mask": mask}, {**spec, "shape": [spec["shape"][0], spec["shape"][2]]}


def _pool(values: Array, entry: Entry, around: Around) -> Array:
    if entry["mask"] is None:
        mean: Array = values.mean(axis=1, dtype=np.float64)
        return mean.astype(values.dtype)
    mask = np.asarray(around.inputs[entry["mask"]])[: len(values)]
    if mask.shape != values.shape[:2]:
        raise BadOutput(f"a mask of {list(mask.shape)} for steps of {list(values.shape[:2])}")
    weights = mask.astype(np.float64)[:, :, None]
    mean = (values * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), TINY)
    return mean.astype(values.dtype)


def _complete_top(entry: Entry, spec: Spec, around: Around) -> tuple[Entry, Spec]:
    refuse_unknown_keys(entry, frozenset({"do", "k"}))
    need_floats(spec, 2)
    check_label_count(around.labels, spec["shape"][-1])
    return {"do": "top_k", "k": integer(entry, "k", 5, 1, TOP_K_MAX)}, JSON_SPEC


def _top(values: Array, entry: Entry, around: Around) -> Array:
    flat = values.reshape(len(values), -1)
    best = np.argsort(-flat, axis=1, kind="stable")[:, : entry["k"]]
    return json_texts([
        [labelled(int(i), around.labels) | {"score": number(scores[i])} for i in row]
        for row, scores in zip(best, flat, strict=True)
    ])  # fmt: skip


def labelled(index: int, labels: Sequence[str] | None) -> dict[str, Any]:
    """A class by number, and by name where it has one."""
    known = labels is not None and 0 <= index < len(labels)
    return {"index": index, "label": labels[index] if labels is not None and known else str(index)}


def _complete_ctc(entry: Entry, spec: Spec, around: Around) -> tuple[Entry, Spec]:
    refuse_unknown_keys(entry, frozenset({"do", "blank", "space"}))
    need_floats(spec, 3)
    if around.labels is None:
        raise Invalid("needs `labels`: the letter of each class.")
    check_label_count(around.labels, spec["shape"][-1])
    blank, space = integer(entry, "blank", 0, 0, len(around.labels) - 1), entry.get("space", "|")
    if not isinstance(space, str):
        raise Invalid("`space` must be the label that stands between words.")
    return {"do": "ctc", "blank": blank, "space": space}, {"dtype": STRING, "shape": [None], "media_type": "text/plain"}


def _ctc(values: Array, entry: Entry, around: Around) -> Array:
    if values.ndim != 3:
        raise BadOutput(f"shape {list(values.shape)} where items × steps × letters are needed")
    labels = around.labels or ()
    texts = []
    for path in values.argmax(axis=2):
        kept = path[np.concatenate([[True], path[1:] != path[:-1]])] if len(path) else path
        letters = [labels[int(i)] for i in kept if int(i) != entry["blank"] and int(i) < len(labels)]
        texts.append("".join(" " if letter == entry["space"] else letter for letter in letters).strip())
    return array_of(texts, (len(texts),))


STEPS: dict[str, Step] = {
    "softmax": Step(_elementwise, _softmax),
    "sigmoid": Step(_elementwise, _sigmoid),
    "normalize": Step(_elementwise, _normalize),
    "mean_pool": Step(_complete_pool, _pool),
    "top_k": Step(_complete_top, _top),
    "ctc": Step(_complete_ctc, _ctc),
}
