"""Reads an ONNX file: inputs, outputs, opset, operators; refuses what is damaged, unsafe or beyond what Fabric runs.

The file is only parsed here, never handed to ONNX Runtime. It is still a stranger's bytes, so the control plane calls this
inside the restricted child of `catalog/admit.py`.
"""

import math
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto

from fabric.catalog.bounds import bounds_of
from fabric.catalog.operators import DOMAINS
from fabric.catalog.outline import outline
from fabric.catalog.places import refusal, shown
from fabric.catalog.structure import (
    check_functions,
    check_names,
    check_operators,
    check_tensors,
    find_place,
    functions_of,
    graphs_in,
    nodes_with_places,
)
from fabric.codecs.assets import PREFIX, assets_in
from fabric.codecs.texts import BFLOAT16, STRING, numpy_dtype

MODEL_BYTES_MAX = 2**31 - 1  # protobuf's own limit
TENSORS_MAX = 64  # inputs, and outputs
ITEM_BYTES_MAX = 1024**3
NAME_CHARACTERS_MAX = 200
CHECKER_CHARACTERS_MAX = 400
DTYPES = {
    TensorProto.FLOAT: "float32", TensorProto.DOUBLE: "float64", TensorProto.FLOAT16: "float16",
    TensorProto.INT8: "int8", TensorProto.INT16: "int16", TensorProto.INT32: "int32", TensorProto.INT64: "int64",
    TensorProto.UINT8: "uint8", TensorProto.UINT16: "uint16", TensorProto.UINT32: "uint32", TensorProto.UINT64: "uint64",
    TensorProto.BOOL: "bool", TensorProto.STRING: STRING, TensorProto.BFLOAT16: BFLOAT16,
}  # fmt: skip
_CHECKED_NODE = re.compile(r"node spec for node\. Name: (?P<name>.*?) OpType: (?P<operator>\w+)")


@dataclass(frozen=True, slots=True)
class Inspection:
    """What an ONNX file says about itself."""

    inputs: dict[str, dict[str, Any]]  # name -> {"dtype": numpy name, "shape": [int | None …], batch axis included}
    outputs: dict[str, dict[str, Any]]
    opset: int
    ir_version: int
    operators: dict[str, int] = field(default_factory=dict)  # "domain::Name" or "Name" -> how often
    producer: str = ""
    parameters: int = 0  # elements of all initializers
    bounds: dict[str, Any] = field(default_factory=dict)  # the fields of catalog.bounds.Bounds
    assets: dict[str, str] = field(default_factory=dict)  # files that travel inside it, by name

    def as_json(self) -> dict[str, Any]:
        """The inspection as it is stored with a model version."""
        return {**asdict(self), "assets": {name: len(content) for name, content in self.assets.items()}}


def inspect_model(source: bytes | Path, *, control_flow: bool = False) -> Inspection:
    """Read a model; with `control_flow` it may hold If, Loop and Scan.

    Raises:
        InvalidModel: with `reason`, and with `node` where one node of the graph is the cause.
    """
    content = source.read_bytes() if isinstance(source, Path) else source
    if len(content) > MODEL_BYTES_MAX:
        raise refusal("unsupported", f"the file has {len(content)} bytes; an ONNX file has at most {MODEL_BYTES_MAX}")
    model = _parsed(content)
    _check_text(model)
    functions = functions_of(model)
    spread_bytes = check_tensors(model)
    operators = check_operators(model, functions, control_flow=control_flow)
    check_functions(model, functions)
    check_names(model)
    _check_well_formed(model, content)
    initializers = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: _tensor_of(value, "input") for value in model.graph.input if value.name not in initializers}
    outputs = {value.name: _tensor_of(value, "output") for value in model.graph.output}
    _check_items(inputs, outputs)
    batched = [name for name, tensor in inputs.items() if tensor["shape"] and tensor["shape"][0] is None]
    bounds = bounds_of(model, functions, batched, spread_bytes=spread_bytes)
    return _inspection(model, inputs, outputs, operators, bounds.as_json())


def _inspection(
    model: onnx.ModelProto, inputs: dict[str, Any], outputs: dict[str, Any], operators: Counter[str], bounds: dict[str, Any]
) -> Inspection:
    return Inspection(
        inputs=inputs,
        outputs=outputs,
        opset=max((o.version for o in model.opset_import if DOMAINS.get(o.domain) == ""), default=0),
        ir_version=model.ir_version,
        operators=dict(sorted(operators.items())),
        producer=f"{model.producer_name} {model.producer_version}".strip()[:NAME_CHARACTERS_MAX],
        parameters=sum(math.prod(tensor.dims) for tensor in model.graph.initializer),
        bounds=bounds,
        assets=assets_in({entry.key: entry.value for entry in model.metadata_props}),
    )


def _parsed(content: bytes) -> onnx.ModelProto:
    walked = outline(content)
    model = onnx.ModelProto()
    try:
        if not walked.is_complete:
            raise DecodeError
        model.ParseFromString(content)
    except DecodeError:
        if _looks_cut_off(content):
            raise refusal("truncated", "the file is cut short: its last field promises more bytes than there are") from None
        if walked.has_graph:
            raise refusal("malformed", "the file begins as an ONNX file does, but is no valid protobuf") from None
        raise refusal("not_onnx", "this is not an ONNX file") from None
    if not model.ir_version or not (model.HasField("graph") or model.opset_import):
        raise refusal("not_onnx", "this is not an ONNX file: it has no version or no graph")
    if not model.HasField("graph") or not model.opset_import:
        raise refusal("truncated", "the file is cut short: it has no graph or no operator sets")
    return model


def _looks_cut_off(content: bytes) -> bool:
    """Whether the bytes begin as a ModelProto does and end inside a field."""
    if content[:1] != b"\x08":  # field 1, ir_version, a small varint: every exporter writes it first
        return False
    position, fields = 0, 0
    while position < len(content) and fields < 1000:
        tag, position = _varint(content, position)
        number, kind = tag >> 3, tag & 7
        if not 1 <= number <= 100 or kind not in {0, 2}:
            return False
        value, position = _varint(content, position)
        position += value if kind == 2 else 0
        fields += 1
    return position > len(content)


def _varint(content: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(content) and shift < 64:
        byte = content[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
    return value, len(content) + 1


def _check_text(model: onnx.ModelProto) -> None:
    """Protobuf gives bytes where text is no UTF-8, and JSONB takes no NUL; nothing further on expects either."""
    texts = [model.producer_name, model.producer_version, *_value_names(model.graph)]
    texts += [opset.domain for opset in model.opset_import]
    texts += [text for entry in model.metadata_props if entry.key.startswith(PREFIX) for text in (entry.key, entry.value)]
    for function in model.functions:
        texts += [function.domain, function.name, function.overload, *function.input, *function.output, *function.attribute]
        texts += [opset.domain for opset in function.opset_import]
    for _, node, _ in nodes_with_places(model):
        texts += [node.name, node.op_type, node.domain, node.overload, *node.input, *node.output]
        for attribute in node.attribute:
            texts += [attribute.name, attribute.ref_attr_name]
        for _, graph in graphs_in(node):
            texts += _value_names(graph)
    if not all(isinstance(text, str) and "\0" not in text for text in texts):
        raise refusal("malformed", "a name in the file is not UTF-8 text")


def _value_names(graph: onnx.GraphProto) -> list[str]:
    names = [value.name for value in (*graph.input, *graph.output, *graph.value_info)]
    return names + [t.name for t in graph.initializer] + [s.values.name for s in graph.sparse_initializer]


def _check_well_formed(model: onnx.ModelProto, content: bytes) -> None:
    try:
        onnx.checker.check_model(content)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        named = _CHECKED_NODE.search(str(error))
        place = find_place(model, named["name"], named["operator"]) if named else None
        raise refusal("malformed", f"the ONNX checker refuses it: {shown(str(error), CHECKER_CHARACTERS_MAX)}", place) from None


def _tensor_of(value: onnx.ValueInfoProto, kind: str) -> dict[str, Any]:
    where = f"{kind} {value.name[:NAME_CHARACTERS_MAX]!r}"
    if not value.name or len(value.name) > NAME_CHARACTERS_MAX:
        raise refusal("unsupported", f"{where}: a name has 1 to {NAME_CHARACTERS_MAX} characters")
    if not value.type.HasField("tensor_type"):
        hint = ""
        if value.type.WhichOneof("value") in {"sequence_type", "map_type"}:
            hint = "; export scikit-learn classifiers with options={'zipmap': False}"
        raise refusal("unsupported", f"{where} is no tensor{hint}")
    tensor = value.type.tensor_type
    if tensor.elem_type not in DTYPES:
        names = dict(zip(TensorProto.DataType.values(), TensorProto.DataType.keys(), strict=True))
        found = names.get(tensor.elem_type, tensor.elem_type)
        raise refusal("unsupported", f"{where} has element type {found}; Fabric takes {', '.join(DTYPES.values())}")
    if not tensor.HasField("shape"):
        raise refusal("unsupported", f"{where} declares no shape; its rank must be known")
    sizes = [d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else None for d in tensor.shape.dim]
    if 0 in sizes:
        raise refusal("unsupported", f"{where} has an axis of size 0")
    return {"dtype": DTYPES[tensor.elem_type], "shape": sizes}


def _check_items(inputs: dict[str, dict[str, Any]], outputs: dict[str, dict[str, Any]]) -> None:
    for kind, tensors in (("input", inputs), ("output", outputs)):
        if not 1 <= len(tensors) <= TENSORS_MAX:
            raise refusal("unsupported", f"{len(tensors)} {kind}s; a model has 1 to {TENSORS_MAX}")
        for name, tensor in tensors.items():
            size = math.prod(d or 1 for d in tensor["shape"]) * numpy_dtype(tensor["dtype"]).itemsize
            if size > ITEM_BYTES_MAX:
                raise refusal("unsupported", f"{kind} {name!r} has {size} bytes; at most {ITEM_BYTES_MAX} are taken")
    if not any(tensor["shape"] for tensor in inputs.values()):
        raise refusal("unsupported", "no input has an axis 0, along which items could be given")
