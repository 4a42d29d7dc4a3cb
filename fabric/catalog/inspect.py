"""Reads an ONNX file: inputs, outputs, opset, operators; refuses what is damaged, unsafe or beyond what Fabric runs.

The file is only parsed here, never handed to ONNX Runtime. It is still a stranger's bytes, so the control plane calls this
inside the restricted child of `catalog/admit.py`.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto

from fabric.core.errors import InvalidModel

MODEL_BYTES_MAX = 2**31 - 1  # protobuf's own limit
NODES_MAX = 200_000
TENSORS_MAX = 64  # inputs, and outputs
ITEM_BYTES_MAX = 1024**3
NAME_CHARACTERS_MAX = 200
OPSET_MAX = 1000
DOMAINS = {"": "", "ai.onnx": "", "ai.onnx.ml": "ai.onnx.ml"}  # as written -> as onnx knows it
DTYPES = {
    TensorProto.FLOAT: "float32", TensorProto.DOUBLE: "float64", TensorProto.FLOAT16: "float16",
    TensorProto.INT8: "int8", TensorProto.INT16: "int16", TensorProto.INT32: "int32", TensorProto.INT64: "int64",
    TensorProto.UINT8: "uint8", TensorProto.UINT16: "uint16", TensorProto.UINT32: "uint32", TensorProto.UINT64: "uint64",
    TensorProto.BOOL: "bool",
}  # fmt: skip


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

    def as_json(self) -> dict[str, Any]:
        """The inspection as it is stored with a model version."""
        return asdict(self)


def inspect_model(source: bytes | Path) -> Inspection:
    """Read a model.

    Raises:
        InvalidModel: with `reason` one of not_onnx, truncated, external_data, custom_operator, unsupported or malformed.
    """
    content = source.read_bytes() if isinstance(source, Path) else source
    if len(content) > MODEL_BYTES_MAX:
        raise _refusal("unsupported", f"the file has {len(content)} bytes; an ONNX file has at most {MODEL_BYTES_MAX}")
    model = _parsed(content)
    _check_text(model)
    _check_external_data(model)
    _check_operators(model)
    _check_well_formed(content)
    initializers = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: _tensor_of(value, "input") for value in model.graph.input if value.name not in initializers}
    outputs = {value.name: _tensor_of(value, "output") for value in model.graph.output}
    _check_items(inputs, outputs)
    return Inspection(
        inputs=inputs,
        outputs=outputs,
        opset=max((o.version for o in model.opset_import if o.domain in {"", "ai.onnx"}), default=0),
        ir_version=model.ir_version,
        operators=dict(sorted(Counter(_operator_name(node) for node in _nodes(model)).items())),
        producer=f"{model.producer_name} {model.producer_version}".strip()[:NAME_CHARACTERS_MAX],
        parameters=sum(math.prod(tensor.dims) for tensor in model.graph.initializer),
    )


def _parsed(content: bytes) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        if _looks_cut_off(content):
            raise _refusal("truncated", "the file is cut short: its last field promises more bytes than there are") from None
        raise _refusal("not_onnx", "this is not an ONNX file") from None
    if not model.ir_version or not (model.HasField("graph") or model.opset_import):
        raise _refusal("not_onnx", "this is not an ONNX file: it has no version or no graph")
    if not model.HasField("graph") or not model.opset_import:
        raise _refusal("truncated", "the file is cut short: it has no graph or no operator sets")
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


def _graphs(model: onnx.ModelProto) -> Iterator[Any]:
    """Everything that holds nodes: the graph, functions, and graphs in attributes of their nodes."""
    waiting: list[Any] = [model.graph, *model.functions]
    seen = 0
    while waiting:
        graph = waiting.pop()
        yield graph
        seen += len(graph.node)
        if seen > NODES_MAX:
            raise _refusal("unsupported", f"more than {NODES_MAX} nodes")
        for node in graph.node:
            for attribute in node.attribute:
                waiting.extend(attribute.graphs)
                if attribute.HasField("g"):
                    waiting.append(attribute.g)


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    for graph in _graphs(model):
        yield from graph.node


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    for graph in _graphs(model):
        yield from getattr(graph, "initializer", ())
        yield from _dense(getattr(graph, "sparse_initializer", ()))
        for node in graph.node:
            for attribute in node.attribute:
                yield from attribute.tensors
                yield from _dense(attribute.sparse_tensors)
                if attribute.HasField("t"):
                    yield attribute.t
                if attribute.HasField("sparse_tensor"):
                    yield from _dense([attribute.sparse_tensor])


def _dense(sparse: Iterable[onnx.SparseTensorProto]) -> Iterator[onnx.TensorProto]:
    for tensor in sparse:
        yield tensor.values
        yield tensor.indices


def _check_text(model: onnx.ModelProto) -> None:
    """Protobuf gives bytes where text is no UTF-8, and JSONB takes no NUL; nothing further on expects either."""
    texts = [value.name for value in (*model.graph.input, *model.graph.output)]
    for node in _nodes(model):
        texts += [node.op_type, node.domain]
    texts += [opset.domain for opset in model.opset_import]
    texts += [model.producer_name, model.producer_version]
    if not all(isinstance(text, str) and "\0" not in text for text in texts):
        raise _refusal("malformed", "a name in the file is not UTF-8 text")


def _check_external_data(model: onnx.ModelProto) -> None:
    for tensor in _tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            raise _refusal(
                "external_data",
                f"tensor {tensor.name!r} lies in another file; save the model with all its data inside "
                "(onnx.save_model(model, path, save_as_external_data=False))",
            )


def _check_operators(model: onnx.ModelProto) -> None:
    own_functions = {(function.domain, function.name) for function in model.functions}
    versions = {DOMAINS[o.domain]: o.version for o in model.opset_import if o.domain in DOMAINS}
    unknown = set()
    for node in _nodes(model):
        if (node.domain, node.op_type) in own_functions:
            continue
        domain = DOMAINS.get(node.domain)
        if domain is None or not _is_standard(node.op_type, domain, versions.get(domain)):
            unknown.add(_operator_name(node))
    if unknown:
        listed = ", ".join(sorted(unknown)[:10])
        raise _refusal("custom_operator", f"only standard ONNX operators run here; this model uses {listed}")


def _is_standard(operator: str, domain: str, version: int | None) -> bool:
    if version is None or not 1 <= version <= OPSET_MAX:
        return False
    try:
        return not onnx.defs.get_schema(operator, version, domain).deprecated
    except onnx.defs.SchemaError:
        return False


def _check_well_formed(content: bytes) -> None:
    try:
        onnx.checker.check_model(content)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise _refusal("malformed", f"the ONNX checker refuses it: {str(error)[:400]}") from None


def _tensor_of(value: onnx.ValueInfoProto, kind: str) -> dict[str, Any]:
    where = f"{kind} {value.name[:NAME_CHARACTERS_MAX]!r}"
    if not value.name or len(value.name) > NAME_CHARACTERS_MAX:
        raise _refusal("unsupported", f"{where}: a name has 1 to {NAME_CHARACTERS_MAX} characters")
    if not value.type.HasField("tensor_type"):
        hint = ""
        if value.type.WhichOneof("value") in {"sequence_type", "map_type"}:
            hint = "; export scikit-learn classifiers with options={'zipmap': False}"
        raise _refusal("unsupported", f"{where} is no tensor{hint}")
    tensor = value.type.tensor_type
    if tensor.elem_type not in DTYPES:
        names = dict(zip(TensorProto.DataType.values(), TensorProto.DataType.keys(), strict=True))
        found = names.get(tensor.elem_type, tensor.elem_type)
        raise _refusal("unsupported", f"{where} has element type {found}; Fabric takes {', '.join(DTYPES.values())}")
    if not tensor.HasField("shape"):
        raise _refusal("unsupported", f"{where} declares no shape; its rank must be known")
    sizes = [d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else None for d in tensor.shape.dim]
    if 0 in sizes:
        raise _refusal("unsupported", f"{where} has an axis of size 0")
    return {"dtype": DTYPES[tensor.elem_type], "shape": sizes}


def _check_items(inputs: dict[str, dict[str, Any]], outputs: dict[str, dict[str, Any]]) -> None:
    for kind, tensors in (("input", inputs), ("output", outputs)):
        if not 1 <= len(tensors) <= TENSORS_MAX:
            raise _refusal("unsupported", f"{len(tensors)} {kind}s; a model has 1 to {TENSORS_MAX}")
        for name, tensor in tensors.items():
            size = math.prod(d or 1 for d in tensor["shape"]) * np.dtype(tensor["dtype"]).itemsize
            if size > ITEM_BYTES_MAX:
                raise _refusal("unsupported", f"{kind} {name!r} has {size} bytes; at most {ITEM_BYTES_MAX} are taken")
    if not any(tensor["shape"] for tensor in inputs.values()):
        raise _refusal("unsupported", "no input has an axis 0, along which items could be given")


def _operator_name(node: onnx.NodeProto) -> str:
    return f"{node.domain}::{node.op_type}" if DOMAINS.get(node.domain) != "" else str(node.op_type)


def _refusal(reason: str, detail: str) -> InvalidModel:
    return InvalidModel(detail, reason=reason)
