"""Bounds on what one run of a model takes, from its graph alone: the bytes of each value, of all that live together, and the arithmetic.

Shapes and small constants are carried from node to node with the ONNX standard's own inference, one node at a time, so that the
node that asks for too much is the one that is named, before anything of that size exists. All bounds are lower bounds: an axis
whose size depends on data counts as 1, and what that hides is left to the run under limits.
"""

from collections import ChainMap
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass, field
from math import prod
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import TensorProto, TypeProto, helper, numpy_helper

from fabric.catalog import constants, costs
from fabric.catalog.operators import schema_of, versions_of
from fabric.catalog.places import GRAPH, Place, binary_size, refusal, shown
from fabric.catalog.structure import FunctionKey, Functions, function_key, graphs_in
from fabric.catalog.tensors import RANK_MAX, VALUE_BYTES_MAX, element_bytes

RUN_BYTES_MAX = 4 * 2**30  # of all values that live at the same time, weights apart
OPERATIONS_MAX = 5 * 10**12  # of one run on one item (or on a fixed batch): minutes on one thread
AXIS_MAX = 2**31 - 1
_CANNOT_TELL = (
    onnx.shape_inference.InferenceError, onnx.checker.ValidationError, RuntimeError, ValueError, IndexError, TypeError, KeyError,
)  # fmt: skip
_VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"})  # a runtime makes no copy
_DATA_SIZED = frozenset({"NonZero", "Compress", "Unique"})  # as many as there are elements at most: that is counted
_RANK_FROM = {"Reshape": 1, "Expand": 1, "ConstantOfShape": 0, "Tile": 1}  # whose input of sizes has one for each axis
Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least that one run takes."""

    operations: int
    memory_bytes: int  # of values that live together, weights apart
    costliest: dict[str, Any] | None  # the node with the most operations
    largest: dict[str, Any] | None  # the node that makes the largest value
    unbounded: dict[str, Any] | None  # the first Loop whose number of trips depends on data

    def as_json(self) -> dict[str, Any]:
        """The bounds as they are stored with a model version."""
        return asdict(self)


@dataclass(slots=True)
class _Value:
    """What is known of a value before it exists."""

    type: Any = field(default_factory=TypeProto)
    constant: NDArray[Any] | None = None
    tensor: Any = None  # the constant as the inference takes it, once it was needed
    shape: Shape | None = None
    least: tuple[int, ...] | None = None  # the smallest shape that it can have
    size: int = 0  # bytes, at least

    def __post_init__(self) -> None:
        kind = self.type.tensor_type
        if self.type.HasField("tensor_type") and kind.HasField("shape"):
            # A size below nothing is how the inference says that this cannot be, as in a branch that is never taken.
            self.shape = tuple([d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else None for d in kind.shape.dim])
            self.least = tuple([1 if size is None else size for size in self.shape])
            self.size = int(prod(self.least) * element_bytes(kind.elem_type))

    def as_tensor(self) -> Any:
        if self.tensor is None:
            self.tensor = numpy_helper.from_array(self.constant)
        return self.tensor


Scope = MutableMapping[str, _Value]


def bounds_of(model: Any, functions: Functions, batched: Iterable[str], *, spread_bytes: int = 0) -> Bounds:
    """Walk the graph as a run on one item would.

    Args:
        model: A model whose structure and tensors have been checked.
        functions: Those that the file defines.
        batched: Inputs whose open axis 0 is the items'.
        spread_bytes: Of sparse tensors, once they are spread out.

    Raises:
        InvalidModel: with `reason` too_large or too_costly, and the node that asks for too much.
    """
    walk = _Walk(model, functions, spread_bytes)
    by_item = frozenset(batched)
    scope: Scope = {v.name: _Value(_one_item(v.type) if v.name in by_item else v.type) for v in model.graph.input}
    for value in (*model.graph.value_info, *model.graph.output):
        walk.check_declared(value)
    walk.run_graph(model.graph, GRAPH, scope, walk.versions)
    return Bounds(walk.operations, walk.peak_bytes, _json(walk.costliest), _json(walk.largest), _json(walk.unbounded))


class _Walk:
    """One walk over a graph and all that it calls."""

    def __init__(self, model: Any, functions: Functions, spread_bytes: int) -> None:
        self.versions = versions_of(model.opset_import)
        self._functions = functions
        self._ir_version = model.ir_version
        self._times = 1  # how often the present graph runs: more than once in loops
        self._live_bytes = spread_bytes
        self.peak_bytes = spread_bytes
        self.operations = 0
        self.costliest: Place | None = None
        self.largest: Place | None = None
        self.unbounded: Place | None = None
        self._most_operations = self._most_bytes = 0

    def check_declared(self, value: Any) -> None:
        """Refuse sizes that no value can have, even where they are only declared."""
        self._check_value(f"declares that {shown(value.name)!r}", _Value(value.type), None)

    def run_graph(self, graph: Any, path: str, scope: Scope, versions: Mapping[str, int]) -> None:
        """Carry shapes and constants through a graph or a function; `scope` holds what it is given, and what it makes afterwards."""
        for tensor in getattr(graph, "initializer", ()):
            scope[tensor.name] = _constant_value(tensor)
        for sparse in getattr(graph, "sparse_initializer", ()):
            scope[sparse.values.name] = _Value(helper.make_tensor_type_proto(sparse.values.data_type, list(sparse.dims)))
        last_use = _last_uses(graph)
        dying: dict[int, list[int]] = {}
        before = self._live_bytes
        for index, node in enumerate(graph.node):
            place = Place.of(path, index, node)
            for name, value in self._made(node, place, scope, versions).items():
                scope[name] = value
                held = 0 if node.op_type in _VIEWS else value.size
                dying.setdefault(last_use.get(name, index), []).append(held)
                self._live_bytes += held
            if self._live_bytes > self.peak_bytes:
                self.peak_bytes = self._live_bytes
                if self.peak_bytes > RUN_BYTES_MAX:
                    why = f"with this node's outputs a run on one item holds at least {binary_size(self.peak_bytes)}"
                    raise refusal("too_large", f"{why}; at most {binary_size(RUN_BYTES_MAX)}", place)
            self._live_bytes -= sum(dying.pop(index, ()))
        self._live_bytes = before

    def _made(self, node: Any, place: Place, scope: Scope, versions: Mapping[str, int]) -> Scope:
        given = [scope.get(name, _Value()) if name else None for name in node.input]
        if (key := function_key(node)) in self._functions:
            made = self._call(node, key, given, versions)
        elif any(True for _ in graphs_in(node)):
            made = self._control_flow(node, place, scope, versions)
        else:
            made = self._infer(node, place, given, versions)
        sizes = [self._check_value(f"makes {shown(name)!r}, which", value, place) for name, value in made.items()]
        if node.op_type in _DATA_SIZED and given and given[0] is not None and given[0].least is not None:
            rank = len(given[0].least) if node.op_type == "NonZero" else 1
            sizes.append(rank * 8 * prod(given[0].least))
            self._check_bytes("makes as many numbers as its input has, which", sizes[-1], place)
        if sizes and max(sizes) > self._most_bytes:
            self._most_bytes, self.largest = max(sizes), place
        if key not in self._functions:
            self._count(node, place, given, [made.get(name, _Value()) for name in node.output])
        return made

    def _count(self, node: Any, place: Place, given: Sequence[_Value | None], made: Sequence[_Value]) -> None:
        shapes = [None if value is None else value.least for value in given]
        operations = self._times * costs.operations(node, shapes, [value.least for value in made])
        self.operations += operations
        if operations > self._most_operations:
            self._most_operations, self.costliest = operations, place
        if self.operations > OPERATIONS_MAX:
            why = f"up to here one item takes at least {self.operations:.2g} operations; at most {OPERATIONS_MAX:.0g}"
            raise refusal("too_costly", why, place)

    def _infer(self, node: Any, place: Place, given: Sequence[_Value | None], versions: Mapping[str, int]) -> Scope:
        self._check_rank_asked(node, place, given)
        schema = schema_of(node.op_type, node.domain, versions.get("" if node.domain == "ai.onnx" else node.domain))
        made: Scope = {name: _Value() for name in node.output if name}
        if schema is not None and made:
            types = {name: value.type for name, value in zip(node.input, given, strict=True) if value is not None}
            known = {
                name: value.as_tensor()
                for name, value in zip(node.input, given, strict=True)
                if value is not None and value.constant is not None
            }
            opsets = [helper.make_opsetid(domain, version) for domain, version in versions.items()]
            try:
                inferred = onnx.shape_inference.infer_node_outputs(
                    schema, node, types, known, opset_imports=opsets, ir_version=self._ir_version
                )
            except _CANNOT_TELL:
                inferred = {}  # what the standard cannot tell is left to the run
            made.update((name, _Value(kind)) for name, kind in inferred.items() if name in made)
        if len(made) == 1 and node.domain in {"", "ai.onnx"}:
            name, value = next(iter(made.items()))
            if value.shape is None or prod(value.least or ()) <= constants.ELEMENTS_MAX:
                constant = constants.evaluate(
                    node, [None if v is None else v.constant for v in given], [None if v is None else v.shape for v in given]
                )
                if constant is not None and constant.dtype.kind in "iufb":
                    made[name] = _Value(_type_of(constant), constant)
        return made

    def _check_rank_asked(self, node: Any, place: Place, given: Sequence[_Value | None]) -> None:
        index = _RANK_FROM.get(node.op_type)
        if index is None or index >= len(given) or (sizes := given[index]) is None or not sizes.least:
            return
        if sizes.least[0] > RANK_MAX:
            raise refusal("too_large", f"makes a value of {sizes.least[0]} axes; at most {RANK_MAX}", place)

    def _call(self, node: Any, key: FunctionKey, given: Sequence[_Value | None], versions: Mapping[str, int]) -> Scope:
        function = self._functions[key]
        inner: Scope = {name: value for name, value in zip(function.input, given, strict=False) if value is not None}
        bound = _bind(function, node)
        path = f"function {shown(function.domain)}::{shown(function.name)}"
        self.run_graph(bound, path, inner, {**versions, **versions_of(function.opset_import)})
        results = [inner.get(name, _Value()) for name in function.output]
        return {name: value for name, value in zip(node.output, results, strict=False) if name}

    def _control_flow(self, node: Any, place: Place, scope: Scope, versions: Mapping[str, int]) -> Scope:
        """The bodies of If, Loop and Scan: each once, and what it takes as often as it is known to run."""
        known = self._trips(node, scope)
        if known is None and self.unbounded is None:
            self.unbounded = place
        trips = known or 1
        if self._times * trips * costs.NODE_OPERATIONS > OPERATIONS_MAX:
            raise refusal("too_costly", f"asks for {trips} trips of its body; that never ends in time", place)
        results: list[list[_Value]] = []
        for name, graph in graphs_in(node):
            inner = ChainMap(self._handed(node, graph, scope), scope)
            self._times *= trips
            self.run_graph(graph, place.inside(name), inner, versions)
            self._times //= trips
            results.append([inner.get(output.name, _Value()) for output in graph.output])
        made = {name: _Value() for name in node.output if name}
        if node.op_type == "If":
            for name, values in zip(node.output, zip(*results, strict=False), strict=False):
                made[name] = max(values, key=lambda value: value.size)
        elif node.op_type == "Loop":
            carried = len(node.input) - 2
            for index, (name, value) in enumerate(zip(node.output, results[0][1:], strict=False)):
                made[name] = value if index < carried else _stacked(value, trips)
        return {name: _Value(value.type) for name, value in made.items() if name}

    def _trips(self, node: Any, scope: Scope) -> int | None:
        """How often a body is known to run at most; None where that depends on data."""
        if node.op_type == "Loop":
            most = scope.get(node.input[0], _Value()).constant if node.input and node.input[0] else None
            return None if most is None or most.size != 1 else max(1, int(most.reshape(-1)[0]))
        if node.op_type == "Scan" and node.input:
            shape = scope.get(node.input[-1], _Value()).least
            return max(1, shape[0]) if shape else 1
        return 1

    def _handed(self, node: Any, graph: Any, scope: Scope) -> Scope:
        """What a body is given: the state of a Loop before its first trip; of everything else what the body itself declares."""
        inner = {value.name: _Value(value.type) for value in graph.input}
        if node.op_type == "Loop":
            for value, name in zip(list(graph.input)[2:], list(node.input)[2:], strict=False):
                inner[value.name] = _Value(scope.get(name, _Value()).type)
        return inner

    def _check_value(self, what: str, value: _Value, place: Place | None) -> int:
        shape = value.least
        if shape is None:
            return 0
        if len(shape) > RANK_MAX:
            raise refusal("too_large", f"{what} has {len(shape)} axes; at most {RANK_MAX}", place)
        if any(size > AXIS_MAX for size in shape):
            why = f"{what} has shape {_spelled(shape)}; its elements would be {binary_size(value.size)}"
            raise refusal("too_large", f"{why}, and no axis may have more than {AXIS_MAX} elements", place)
        self._check_bytes(f"{what} has shape {_spelled(shape)} and", value.size, place)
        return value.size

    def _check_bytes(self, what: str, size: int, place: Place | None) -> None:
        if size > VALUE_BYTES_MAX:
            raise refusal(
                "too_large", f"{what} takes {binary_size(size)}; one value may take {binary_size(VALUE_BYTES_MAX)}", place
            )


def _spelled(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "of one number"


def _one_item(kind: Any) -> Any:
    single = TypeProto.FromString(kind.SerializeToString())
    single.tensor_type.shape.dim[0].dim_value = 1
    return single


def _type_of(array: NDArray[Any]) -> Any:
    return helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def _constant_value(tensor: Any) -> _Value:
    kind = helper.make_tensor_type_proto(tensor.data_type, list(tensor.dims))
    array = constants.small_array(tensor) if tensor.data_type != TensorProto.STRING else None
    return _Value(kind, array, tensor if array is not None else None)


def _stacked(value: _Value, trips: int) -> _Value:
    shape = value.least
    return _Value() if shape is None else _Value(helper.make_tensor_type_proto(value.type.tensor_type.elem_type, [trips, *shape]))


def _bind(function: Any, call: Any) -> Any:
    """The function's body with the attributes of this call in the places that ask for them."""
    if not any(attribute.ref_attr_name for node in function.node for attribute in node.attribute):
        return function
    values = {attribute.name: attribute for attribute in (*function.attribute_proto, *call.attribute)}
    bound = onnx.FunctionProto.FromString(function.SerializeToString())
    for node in bound.node:
        kept = []
        for attribute in node.attribute:
            if not attribute.ref_attr_name:
                kept.append(attribute)
            elif attribute.ref_attr_name in values:
                given = onnx.AttributeProto.FromString(values[attribute.ref_attr_name].SerializeToString())
                given.name = attribute.name
                kept.append(given)
        copies = [onnx.AttributeProto.FromString(attribute.SerializeToString()) for attribute in kept]
        del node.attribute[:]
        node.attribute.extend(copies)
    return bound


def _last_uses(graph: Any) -> dict[str, int]:
    """After which node a value is needed no more; what leaves the graph is needed to the end."""
    uses: dict[str, int] = {}
    for index, node in enumerate(graph.node):
        for name in _read_by(node):
            uses[name] = index
    for output in graph.output:
        uses[output if isinstance(output, str) else output.name] = len(graph.node)
    return uses


def _read_by(node: Any) -> Iterable[str]:
    yield from node.input
    for _, graph in graphs_in(node):
        for inner in graph.node:
            yield from _read_by(inner)


def _json(place: Place | None) -> dict[str, Any] | None:
    return None if place is None else place.as_json()
