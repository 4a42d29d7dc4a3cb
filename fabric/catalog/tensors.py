"""Pure: whether the tensors inside a model file hold what they declare.

A tensor that declares more than the file holds makes a runtime allocate for bytes that are not there.
"""

from math import prod
from typing import Any

from onnx import TensorProto

from fabric.catalog.places import Place, binary_size, refusal, shown

RANK_MAX = 32
VALUE_BYTES_MAX = 2**30  # of one tensor while a model runs on one item
_T = TensorProto
_BITS: dict[int, int] = {
    _T.FLOAT: 32, _T.DOUBLE: 64, _T.FLOAT16: 16, _T.BFLOAT16: 16, _T.COMPLEX64: 64, _T.COMPLEX128: 128, _T.BOOL: 8,
    _T.INT8: 8, _T.INT16: 16, _T.INT32: 32, _T.INT64: 64, _T.UINT8: 8, _T.UINT16: 16, _T.UINT32: 32, _T.UINT64: 64,
    _T.FLOAT8E4M3FN: 8, _T.FLOAT8E4M3FNUZ: 8, _T.FLOAT8E5M2: 8, _T.FLOAT8E5M2FNUZ: 8, _T.FLOAT8E8M0: 8,
    _T.INT4: 4, _T.UINT4: 4, _T.FLOAT4E2M1: 4, _T.INT2: 2, _T.UINT2: 2,
}  # fmt: skip
_FIELDS = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
_FIELD_OF: dict[int, str] = {
    _T.FLOAT: "float_data", _T.COMPLEX64: "float_data", _T.DOUBLE: "double_data", _T.COMPLEX128: "double_data",
    _T.INT64: "int64_data", _T.UINT64: "uint64_data", _T.UINT32: "uint64_data", _T.STRING: "string_data",
}  # fmt: skip
STRING_BYTES = 32  # what a runtime keeps for each string at least


def element_bytes(kind: int) -> float:
    """Bytes of one element of a type; 0 for what is no type."""
    return STRING_BYTES if kind == _T.STRING else _BITS.get(kind, 0) / 8


def check_tensor(tensor: Any, place: Place | None) -> None:
    """Check that a tensor is complete in itself.

    Raises:
        InvalidModel: with `reason` external_data, tensor_size or unsupported.
    """
    name = f"tensor {shown(tensor.name)!r}"
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        why = f"{name} lies in another file; save the model with all its data inside"
        raise refusal("external_data", f"{why} (onnx.save_model(model, path, save_as_external_data=False))", place)
    kind = tensor.data_type
    if (kind not in _BITS and kind != _T.STRING) or tensor.HasField("segment"):
        raise refusal("unsupported", f"{name} has element type {kind}, which Fabric does not know, or comes in segments", place)
    dims = _checked_dims(name, tensor.dims, place)
    elements = prod(dims)
    declared = f"{name} declares {' x '.join(map(str, dims)) or 'one'} = {elements} elements of {TensorProto.DataType.Name(kind)}"
    filled = {field: len(getattr(tensor, field)) for field in _FIELDS if len(getattr(tensor, field))}
    if tensor.HasField("raw_data"):
        needed = -(-elements * _BITS.get(kind, 0) // 8)
        if kind == _T.STRING or filled or len(tensor.raw_data) != needed:
            raise refusal("tensor_size", f"{declared}, {needed} bytes; the file has {len(tensor.raw_data)} as raw data", place)
        return
    field = _FIELD_OF.get(kind, "int32_data")
    needed = _numbers(kind, elements)
    if set(filled) - {field} or filled.get(field, 0) != needed:
        raise refusal("tensor_size", f"{declared}; the file has {sum(filled.values())} numbers of the {needed} it takes", place)


def check_sparse(sparse: Any, place: Place | None) -> int:
    """Check a sparse tensor and give the bytes that it has once a runtime spread it out.

    Raises:
        InvalidModel: with `reason` external_data, tensor_size, too_large or unsupported.
    """
    check_tensor(sparse.values, place)
    check_tensor(sparse.indices, place)
    name = f"sparse tensor {shown(sparse.values.name)!r}"
    dims = _checked_dims(name, sparse.dims, place)
    given, wanted = list(sparse.indices.dims), list(sparse.values.dims)
    if len(wanted) != 1 or given not in (wanted, [*wanted, len(dims)]) or prod(wanted) > prod(dims):
        raise refusal("tensor_size", f"{name} has {wanted} values and {given} indices, which do not fit each other", place)
    spread = int(prod(dims) * element_bytes(sparse.values.data_type))
    if spread > VALUE_BYTES_MAX:
        raise refusal("too_large", f"{name} takes {binary_size(spread)} once it is spread out; at most {VALUE_BYTES_MAX}", place)
    return spread


def _checked_dims(name: str, dims: Any, place: Place | None) -> list[int]:
    if len(dims) > RANK_MAX:
        raise refusal("unsupported", f"{name} has {len(dims)} axes; at most {RANK_MAX}", place)
    if any(size < 0 for size in dims):
        raise refusal("tensor_size", f"{name} declares an axis of negative size: {list(dims)}", place)
    return list(dims)


def _numbers(kind: int, elements: int) -> int:
    """How many numbers a typed field holds for so many elements."""
    if kind in {_T.COMPLEX64, _T.COMPLEX128}:
        return 2 * elements
    if (bits := _BITS.get(kind, 8)) < 8:
        return -(-elements * bits // 8)
    return elements
