"""Pure: how many arithmetic operations a node takes at least, from the shapes that go in and come out.

An estimate for refusing what could never end in time, and for naming the node that costs most; what a model really takes is measured.
"""

from collections.abc import Callable, Mapping, Sequence
from math import log2, prod
from typing import Any

from fabric.catalog.constants import attributes_of

NODE_OPERATIONS = 1_000  # calling a kernel costs about a microsecond, however little it does
Shape = tuple[int, ...]  # axes of unknown size count as 1: the least it can be


def operations(node: Any, given: Sequence[Shape | None], made: Sequence[Shape | None]) -> int:
    """Operations of one run of the node, at least. Shapes that are not known count as single numbers."""
    shapes = [shape if shape is not None else () for shape in given]
    results = [shape if shape is not None else () for shape in made] or [()]
    elements = max(sum(map(prod, shapes[:8])) if node.op_type in _READS_ALL else 0, sum(map(prod, results)), 1)
    rule = _RULES.get(node.op_type)
    if rule is None:
        return NODE_OPERATIONS + elements
    try:
        return NODE_OPERATIONS + max(elements, int(rule(shapes, results, attributes_of(node))))
    except (IndexError, KeyError, ValueError, TypeError, ZeroDivisionError):
        return NODE_OPERATIONS + elements  # shapes that do not fit: the run will tell


def _matmul(given: Sequence[Shape], made: Sequence[Shape], _: Mapping[str, Any]) -> int:
    return 2 * prod(made[0]) * given[0][-1]


def _gemm(given: Sequence[Shape], made: Sequence[Shape], attributes: Mapping[str, Any]) -> int:
    return 2 * prod(made[0]) * given[0][0 if attributes.get("transA") else 1]


def _convolution(weights: int) -> Callable[[Sequence[Shape], Sequence[Shape], Mapping[str, Any]], int]:
    def rule(given: Sequence[Shape], made: Sequence[Shape], _: Mapping[str, Any]) -> int:
        return 2 * prod(made[0]) * prod(given[weights][1:])

    return rule


def _transposed(given: Sequence[Shape], _: Sequence[Shape], __: Mapping[str, Any]) -> int:
    return 2 * prod(given[0]) * prod(given[1][1:])


def _pool(_: Sequence[Shape], made: Sequence[Shape], attributes: Mapping[str, Any]) -> int:
    return prod(made[0]) * int(prod(attributes["kernel_shape"]))


def _recurrent(given: Sequence[Shape], _: Sequence[Shape], __: Mapping[str, Any]) -> int:
    steps, batch = given[0][:2]
    return 2 * steps * batch * (prod(given[1]) + prod(given[2]))


def _attention(given: Sequence[Shape], _: Sequence[Shape], __: Mapping[str, Any]) -> int:
    query, key = given[0], given[1]
    return 4 * prod(query) * key[-2]


def _einsum(given: Sequence[Shape], _: Sequence[Shape], attributes: Mapping[str, Any]) -> int:
    equation = attributes["equation"].decode().replace(" ", "").partition("->")[0]
    sizes: dict[str, int] = {}
    for letters, shape in zip(equation.split(","), given, strict=True):
        if "." in letters:
            continue
        sizes.update({letter: max(size, sizes.get(letter, 1)) for letter, size in zip(letters, shape, strict=True)})
    return 2 * prod(sizes.values())


def _sorted(given: Sequence[Shape], _: Sequence[Shape], __: Mapping[str, Any]) -> int:
    elements = max(prod(given[0]), 2)
    return int(elements * log2(elements))


def _fourier(given: Sequence[Shape], made: Sequence[Shape], _: Mapping[str, Any]) -> int:
    elements = max(prod(made[0]), prod(given[0]), 2)
    return int(5 * elements * log2(elements))


def _determinant(given: Sequence[Shape], _: Sequence[Shape], __: Mapping[str, Any]) -> int:
    return prod(given[0]) * int(given[0][-1])


def _normalised(given: Sequence[Shape], _: Sequence[Shape], __: Mapping[str, Any]) -> int:
    return 5 * prod(given[0])


def _local_response(given: Sequence[Shape], _: Sequence[Shape], attributes: Mapping[str, Any]) -> int:
    return prod(given[0]) * int(attributes["size"])


def _support_vectors(given: Sequence[Shape], _: Sequence[Shape], attributes: Mapping[str, Any]) -> int:
    return 2 * given[0][0] * len(attributes["support_vectors"])


def _linear(given: Sequence[Shape], _: Sequence[Shape], attributes: Mapping[str, Any]) -> int:
    return 2 * given[0][0] * len(attributes["coefficients"])


_READS_ALL = frozenset(
    ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp",
     "ReduceSumSquare", "ArgMax", "ArgMin", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "NonZero", "Compress"]
)  # fmt: skip
_RULES: dict[str, Callable[[Sequence[Shape], Sequence[Shape], Mapping[str, Any]], int]] = {
    "MatMul": _matmul, "MatMulInteger": _matmul, "QLinearMatMul": _matmul, "Gemm": _gemm,
    "Conv": _convolution(1), "ConvInteger": _convolution(1), "DeformConv": _convolution(1), "QLinearConv": _convolution(3),
    "ConvTranspose": _transposed, "MaxPool": _pool, "AveragePool": _pool, "LpPool": _pool,
    "LSTM": _recurrent, "GRU": _recurrent, "RNN": _recurrent, "Attention": _attention, "Einsum": _einsum,
    "TopK": _sorted, "Unique": _sorted, "DFT": _fourier, "STFT": _fourier, "Det": _determinant, "LRN": _local_response,
    "Softmax": _normalised, "LogSoftmax": _normalised, "LayerNormalization": _normalised, "InstanceNormalization": _normalised,
    "SVMClassifier": _support_vectors, "SVMRegressor": _support_vectors, "LinearClassifier": _linear, "LinearRegressor": _linear,
}  # fmt: skip
