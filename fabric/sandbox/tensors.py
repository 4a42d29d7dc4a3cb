"""The border between NumPy and ONNX Runtime: tensor types that NumPy lacks are taken across it by hand."""

import ctypes
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

Array = NDArray[Any]
BFLOAT16 = 16  # the element type's number in ONNX


class Crossing:
    """Runs of one session. bfloat16 is float32 on this side, which holds all its values."""

    def __init__(self, session: Any):
        """See which tensors need it."""
        self._session = session
        self._converted = {tensor.name for tensor in session.get_inputs() if tensor.type == "tensor(bfloat16)"}
        self._is_plain = not self._converted and all(t.type != "tensor(bfloat16)" for t in session.get_outputs())

    def run(
        self, outputs: Sequence[str], feeds: Mapping[str, Array], options: Any = None, constant: Collection[str] = ()
    ) -> list[Any]:
        """One run; the arrays of `constant` inputs are the same ones until others come. Raises whatever ONNX Runtime raises."""
        if self._is_plain:
            return list(self._session.run(outputs, feeds, options))
        values = {name: self._value(name, array) for name, array in feeds.items()}
        return [_array(value) for value in self._session.run_with_ort_values(outputs, values, options)]

    def _value(self, name: str, array: Array) -> Any:
        contiguous = np.ascontiguousarray(array)
        if name not in self._converted:
            return onnxruntime.OrtValue.ortvalue_from_numpy(contiguous)
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(rounded(contiguous), BFLOAT16)


class BoundCrossing:
    """Runs of one session whose inputs and outputs lie in the device's own memory (I/O binding).

    An input that all items share is sent once.
    """

    def __init__(self, session: Any, memory: str):
        """`memory` is ONNX Runtime's name for it, such as cuda."""
        self._session = session
        self._memory = memory
        self._kept: dict[str, tuple[Array, Any]] = {}

    @staticmethod
    def suits(session: Any) -> bool:
        """Whether all its inputs and outputs are tensors that a device's memory can hold: numbers, of types that NumPy has."""
        kept = {"tensor(string)", "tensor(bfloat16)"}
        return all(t.type.startswith("tensor(") and t.type not in kept for t in (*session.get_inputs(), *session.get_outputs()))

    def run(
        self, outputs: Sequence[str], feeds: Mapping[str, Array], options: Any = None, constant: Collection[str] = ()
    ) -> list[Any]:
        """One run. Raises whatever ONNX Runtime raises."""
        sent = {name: self._placed(name, array) for name, array in feeds.items()}
        binding = self._session.io_binding()
        for name, (_, value) in sent.items():
            binding.bind_ortvalue_input(name, value)
        for name in outputs:
            binding.bind_output(name, self._memory)
        self._session.run_with_iobinding(binding, options)
        self._kept = {name: sent[name] for name in constant}
        return list(binding.copy_outputs_to_cpu())

    def _placed(self, name: str, array: Array) -> tuple[Array, Any]:
        before = self._kept.get(name)
        if before is not None and before[0] is array:
            return before
        return array, onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), self._memory, 0)


def rounded(array: Array) -> Array:
    """Single floats as the bits of bfloat16, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    upper = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(array), np.uint16(0x7FC0), upper)  # or rounding could make an infinity of it


def widened(bits: Array) -> Array:
    """The bits of bfloat16 as single floats."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _array(value: Any) -> Any:
    if value.element_type() != BFLOAT16:
        return value.numpy()
    shape = tuple(value.shape())
    count = int(np.prod(shape))
    if not count:
        return np.empty(shape, np.float32)
    bits = np.ctypeslib.as_array((ctypes.c_uint16 * count).from_address(value.data_ptr())).copy()
    return widened(bits).reshape(shape)
