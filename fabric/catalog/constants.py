"""Pure: works out small constants of a graph, those that become shapes, without a runtime.

Only a handful of operators, only values of a few thousand elements: whatever else a runtime might fold is left to the run.
"""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper

ELEMENTS_MAX = 4_096
Array = NDArray[Any]
Given = Sequence[Array | None]  # the node's inputs; None: not known, or not given
Attributes = Mapping[str, Any]


def attributes_of(node: Any) -> dict[str, Any]:
    """A node's attributes as Python values; those of kinds that shapes do not need are left out."""
    kinds = {"f", "i", "s", "t", "floats", "ints"}
    values = {}
    for attribute in node.attribute:
        field = helper.AttributeProto.AttributeType.Name(attribute.type).lower() if attribute.type else ""
        field = {"float": "f", "int": "i", "string": "s", "tensor": "t"}.get(field, field)
        if field in kinds and not attribute.ref_attr_name:
            values[attribute.name] = getattr(attribute, field)
    return values


def small_array(tensor: Any) -> Array | None:
    """A tensor of the file as an array, if it is small; its size has been checked."""
    if prod(tensor.dims) > ELEMENTS_MAX:
        return None
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError):
        return None


def evaluate(node: Any, given: Given, shapes: Sequence[tuple[int | None, ...] | None]) -> Array | None:
    """The node's one output, where it can be told; the caller has seen to it that it is small.

    Args:
        node: Of the standard domain.
        given: The inputs that are known.
        shapes: The shapes of all inputs, as far as they are known.
    """
    attributes = attributes_of(node)
    if node.op_type in {"Shape", "Size"}:
        return _of_shape(node.op_type, attributes, shapes[0] if shapes else None)
    if node.op_type == "Constant":
        return _constant(attributes)
    rule = _RULES.get(node.op_type)
    if rule is None or not given or given[0] is None:
        return None
    try:
        with np.errstate(all="ignore"):
            value = np.asarray(rule(given, attributes))
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, ZeroDivisionError, AttributeError, MemoryError):
        return None  # an input is missing or does not fit: the run will tell
    return value if value.size <= ELEMENTS_MAX else None


def _of_shape(operator: str, attributes: Attributes, shape: tuple[int | None, ...] | None) -> Array | None:
    if shape is None:
        return None
    if operator == "Shape":
        shape = shape[attributes.get("start", 0) : attributes.get("end", len(shape))]
    sizes = [size for size in shape if size is not None]
    if len(sizes) < len(shape):
        return None
    return np.array(sizes, np.int64) if operator == "Shape" else np.array(prod(sizes), np.int64)


def _constant(attributes: Attributes) -> Array | None:
    if "value" in attributes:
        return small_array(attributes["value"])
    for name, kind in (
        ("value_int", np.int64),
        ("value_ints", np.int64),
        ("value_float", np.float32),
        ("value_floats", np.float32),
    ):
        if name in attributes:
            value = attributes[name]
            return np.array(value if isinstance(value, int | float) else list(value)[:ELEMENTS_MAX], kind)
    return None


def _known(given: Given, index: int) -> Array:
    """An input that has to be known. Raises KeyError."""
    if index >= len(given) or given[index] is None:
        raise KeyError(index)
    value = given[index]
    assert value is not None
    return value


def _binary(operation: Callable[[Array, Array], Any]) -> Callable[[Given, Attributes], Any]:
    def rule(given: Given, _: Attributes) -> Any:
        a, b = _known(given, 0), _known(given, 1)
        _check_small(np.broadcast_shapes(a.shape, b.shape))
        return np.asarray(operation(a, b)).astype(a.dtype)

    return rule


def _check_small(shape: Sequence[int]) -> None:
    if prod(map(int, shape)) > ELEMENTS_MAX:
        raise ValueError("too large")


def _divide(a: Array, b: Array) -> Any:
    if a.dtype.kind != "i":
        return a / b
    if not np.all(b):
        raise ZeroDivisionError
    return np.trunc(a / b) if np.abs(a).max(initial=0) < 2**52 else a // b  # ONNX rounds towards zero


def _axes(given: Given, attributes: Attributes) -> list[int]:
    return [int(axis) for axis in (attributes["axes"] if "axes" in attributes else _known(given, 1))]


def _unsqueeze(given: Given, attributes: Attributes) -> Any:
    value = _known(given, 0)
    axes = _axes(given, attributes)
    rank = value.ndim + len(axes)
    if rank > 32:
        raise ValueError("too many axes")
    for axis in sorted(axis % rank for axis in axes):
        value = np.expand_dims(value, axis)
    return value


def _squeeze(given: Given, attributes: Attributes) -> Any:
    value = _known(given, 0)
    has_axes = "axes" in attributes or len(given) > 1
    return np.squeeze(value, tuple(_axes(given, attributes)) if has_axes else None)


def _slice(given: Given, attributes: Attributes) -> Any:
    value = _known(given, 0)
    if "starts" in attributes:
        starts, ends = list(attributes["starts"]), list(attributes["ends"])
        axes, steps = list(attributes.get("axes", range(len(starts)))), [1] * len(starts)
    else:
        starts, ends = list(_known(given, 1)), list(_known(given, 2))
        axes = list(_known(given, 3)) if len(given) > 3 else list(range(len(starts)))
        steps = list(_known(given, 4)) if len(given) > 4 else [1] * len(starts)
    cut: list[slice] = [slice(None)] * value.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        last = None if step < 0 and end < -value.shape[int(axis)] else int(end)
        cut[int(axis)] = slice(int(start), last, int(step))
    return value[tuple(cut)]


def _reduce(operation: Callable[..., Any]) -> Callable[[Given, Attributes], Any]:
    def rule(given: Given, attributes: Attributes) -> Any:
        value = _known(given, 0)
        has_axes = "axes" in attributes or len(given) > 1
        axes = tuple(_axes(given, attributes)) if has_axes else None
        return np.asarray(operation(value, axis=axes, keepdims=bool(attributes.get("keepdims", 1)))).astype(value.dtype)

    return rule


def _cast(given: Given, attributes: Attributes) -> Any:
    kind = helper.tensor_dtype_to_np_dtype(attributes["to"])
    if kind.kind not in "iufb":
        raise TypeError(kind)
    return _known(given, 0).astype(kind)


def _concat(given: Given, attributes: Attributes) -> Any:
    parts = [_known(given, index) for index in range(len(given))]
    if sum(part.size for part in parts) > ELEMENTS_MAX:
        raise ValueError("too large")
    return np.concatenate(parts, axis=attributes["axis"])


def _reshape(given: Given, attributes: Attributes) -> Any:
    value, shape = _known(given, 0), [int(size) for size in _known(given, 1)]
    if len(shape) > 32:
        raise ValueError("too many axes")
    if not attributes.get("allowzero", 0):
        shape = [value.shape[axis] if size == 0 else size for axis, size in enumerate(shape)]
    return value.reshape(shape)


def _range(given: Given, _: Attributes) -> Any:
    start, limit, step = (_known(given, index).item() for index in range(3))
    if abs((limit - start) / step) > ELEMENTS_MAX:
        raise ValueError("too large")
    return np.arange(start, limit, step, dtype=_known(given, 0).dtype)


def _filled(given: Given, attributes: Attributes) -> Any:
    shape = tuple(int(size) for size in _known(given, 0))
    _check_small(shape)
    value = numpy_helper.to_array(attributes["value"]) if "value" in attributes else np.zeros(1, np.float32)
    return np.full(shape, value.reshape(-1)[0], value.dtype)


def _expand(given: Given, _: Attributes) -> Any:
    value, shape = _known(given, 0), tuple(int(size) for size in _known(given, 1))
    whole = np.broadcast_shapes(value.shape, shape)
    _check_small(whole)
    return np.broadcast_to(value, whole)


def _gather(given: Given, attributes: Attributes) -> Any:
    value, index = _known(given, 0), _known(given, 1)
    axis = attributes.get("axis", 0)
    _check_small((*value.shape[:axis], *index.shape, *value.shape[axis + 1 :]) if axis >= 0 else (value.size, index.size))
    return np.take(value, index, axis=axis)


def _where(given: Given, _: Attributes) -> Any:
    parts = [_known(given, index) for index in range(3)]
    _check_small(np.broadcast_shapes(*(part.shape for part in parts)))
    return np.where(*parts)


_RULES: dict[str, Callable[[Given, Attributes], Any]] = {
    "Identity": lambda given, _: _known(given, 0), "Cast": _cast, "Gather": _gather, "Concat": _concat, "Slice": _slice,
    "Unsqueeze": _unsqueeze, "Squeeze": _squeeze, "Reshape": _reshape, "Range": _range, "ConstantOfShape": _filled,
    "Expand": _expand, "Where": _where,
    "Add": _binary(np.add), "Sub": _binary(np.subtract), "Mul": _binary(np.multiply), "Div": _binary(_divide),
    "Pow": _binary(np.power), "Min": _binary(np.minimum), "Max": _binary(np.maximum), "Mod": _binary(np.mod),
    "Neg": lambda given, _: -_known(given, 0), "Abs": lambda given, _: np.abs(_known(given, 0)),
    "Floor": lambda given, _: np.floor(_known(given, 0)), "Ceil": lambda given, _: np.ceil(_known(given, 0)),
    "Sqrt": lambda given, _: np.sqrt(_known(given, 0)), "Exp": lambda given, _: np.exp(_known(given, 0)),
    "ReduceProd": _reduce(np.prod), "ReduceSum": _reduce(np.sum), "ReduceMax": _reduce(np.max), "ReduceMin": _reduce(np.min),
}  # fmt: skip
