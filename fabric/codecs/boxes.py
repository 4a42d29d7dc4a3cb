"""Detections: boxes above a threshold, those that overlap a better one of their class left out, as JSON for each item."""

from typing import Any

import numpy as np

from fabric.codecs.base import refuse_unknown_keys
from fabric.codecs.steps import (
    JSON_SPEC,
    Around,
    Array,
    BadOutput,
    Entry,
    Spec,
    Step,
    check_label_count,
    fraction,
    integer,
    json_texts,
    labelled,
    need_floats,
)
from fabric.core.errors import Invalid

FORMATS = ("xyxy", "xywh", "cxcywh", "yxyx")
CANDIDATES_MAX = 3000  # of one item that are compared with each other
KEPT_MAX = 1000
_KEYS = frozenset({"do", "scores", "classes", "format", "threshold", "iou", "max", "transposed", "objectness"})


def _complete(entry: Entry, spec: Spec, around: Around) -> tuple[Entry, Spec]:
    refuse_unknown_keys(entry, _KEYS)
    need_floats(spec, 3)
    completed: Entry = {"do": "detections", "format": entry.get("format", "xyxy")}
    if completed["format"] not in FORMATS:
        raise Invalid(f"`format` must be one of {', '.join(FORMATS)}.")
    for key in ("scores", "classes"):
        name = completed[key] = entry.get(key)
        if name is not None and name not in around.outputs:
            raise Invalid(f"`{key}` {str(name)[:80]!r} is no output; there are {', '.join(around.outputs)}.")
    for key in ("transposed", "objectness"):
        completed[key] = entry.get(key, False)
        if not isinstance(completed[key], bool):
            raise Invalid(f"`{key}` must be true or false.")
    if completed["classes"] is not None and completed["scores"] is None:
        raise Invalid("`classes` needs `scores` beside it.")
    completed |= {"threshold": fraction(entry, "threshold", 0.25), "iou": fraction(entry, "iou", 0.45)}
    completed["max"] = integer(entry, "max", 100, 1, KEPT_MAX)
    _check_columns(completed, spec, around)
    return completed, JSON_SPEC


def _check_columns(entry: Entry, spec: Spec, around: Around) -> None:
    columns = spec["shape"][-2 if entry["transposed"] else -1]
    if entry["scores"] is not None:
        if isinstance(columns, int) and columns != 4:
            raise Invalid(f"a box has 4 numbers; the output has {columns}.")
        scores = around.outputs[entry["scores"]]["shape"]
        if entry["classes"] is None and len(scores) == 3:
            check_label_count(around.labels, scores[-1])
        return
    others = 4 + entry["objectness"]
    if isinstance(columns, int) and columns <= others:
        raise Invalid(f"{columns} numbers for each box leave none for scores; name the output with `scores`.")
    check_label_count(around.labels, columns - others if isinstance(columns, int) else None)


def _apply(values: Array, entry: Entry, around: Around) -> Array:
    scores = around.outputs[entry["scores"]] if entry["scores"] is not None else None
    classes = around.outputs[entry["classes"]] if entry["classes"] is not None else None
    found = []
    for item in range(len(values)):
        table = values[item].T if entry["transposed"] else values[item]
        if table.ndim != 2 or table.shape[1] < 4:
            raise BadOutput(f"boxes of shape {list(values.shape)}")
        own = table[:, 4:] if scores is None else scores[item]
        if scores is None and entry["objectness"]:
            own = own[:, 1:] * own[:, :1]
        best, index = _best(np.asarray(own), None if classes is None else np.asarray(classes[item]), len(table))
        found.append(_detections(_corners(table[:, :4].astype(np.float64), entry["format"]), best, index, entry, around))
    return json_texts(found)


def _best(scores: Array, classes: Array | None, count: int) -> tuple[Array, Array]:
    """The score of each box and its class."""
    if len(scores) != count or (classes is not None and len(classes) != count):
        raise BadOutput(f"{len(scores)} scores for {count} boxes")
    if classes is not None:
        return scores.reshape(count).astype(np.float64), np.nan_to_num(classes.reshape(count)).astype(np.int64)
    table = scores.reshape(count, -1) if count else scores.reshape(0, 1)
    index = table.argmax(axis=1)
    return table[np.arange(count), index].astype(np.float64), index


def _corners(boxes: Array, form: str) -> Array:
    """Left, top, right, bottom."""
    a, b, c, d = boxes.T
    sides = {
        "xyxy": (a, b, c, d), "yxyx": (b, a, d, c), "xywh": (a, b, a + c, b + d),
        "cxcywh": (a - c / 2, b - d / 2, a + c / 2, b + d / 2),
    }  # fmt: skip
    return np.stack(sides[form], axis=1)


def _detections(boxes: Array, scores: Array, classes: Array, entry: Entry, around: Around) -> list[dict[str, Any]]:
    usable = np.isfinite(boxes).all(axis=1) & np.isfinite(scores) & (scores >= entry["threshold"])
    candidates = np.flatnonzero(usable)
    candidates = candidates[np.argsort(-scores[candidates], kind="stable")][:CANDIDATES_MAX]
    kept = suppressed(boxes[candidates], classes[candidates], entry["iou"], entry["max"])
    return [
        labelled(int(classes[i]), around.labels) | {"score": float(scores[i]), "box": [float(side) for side in boxes[i]]}
        for i in candidates[kept]
    ]


def suppressed(boxes: Array, classes: Array, iou_max: float, count_max: int) -> list[int]:
    """Non-maximum suppression within each class: which of the boxes (left, top, right, bottom; best first) stay."""
    areas = np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0)
    alive = np.ones(len(boxes), dtype=bool)
    kept: list[int] = []
    for i in range(len(boxes)):
        if not alive[i]:
            continue
        kept.append(i)
        if len(kept) == count_max:
            break
        width = np.minimum(boxes[i, 2], boxes[:, 2]) - np.maximum(boxes[i, 0], boxes[:, 0])
        height = np.minimum(boxes[i, 3], boxes[:, 3]) - np.maximum(boxes[i, 1], boxes[:, 1])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        union = np.maximum(areas[i] + areas - shared, np.finfo(np.float64).tiny)
        alive &= (shared / union <= iou_max) | (classes != classes[i])
    return kept


DETECTIONS = Step(_complete, _apply, lambda entry: [entry[key] for key in ("scores", "classes") if entry.get(key) is not None])
