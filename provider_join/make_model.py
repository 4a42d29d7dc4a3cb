"""Makes `standard.onnx`, the small convolutional network that every slot is measured with.

Run as `python -m provider_join.make_model`; needs the package `onnx`. The weights are seeded, so the file is the same each time
and speeds of different machines can be compared.
"""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

SEED = 20_260
OPSET = 17
IR_VERSION = 10
CHANNELS = (3, 16, 32, 64)


def standard_model() -> bytes:
    """The standard model as ONNX bytes: `image` float32 [1,3,64,64] to `scores` float32 [1,10], about 11 million MACs."""
    from onnx import TensorProto, checker, helper, numpy_helper

    rng = np.random.default_rng(SEED)
    nodes: list[Any] = []
    weights: list[Any] = []

    def weight(name: str, *shape: int) -> str:
        fan_in = int(np.prod(shape[1:]))
        values = (rng.standard_normal(shape) * np.sqrt(2.0 / fan_in)).astype(np.float32)
        weights.append(numpy_helper.from_array(values, name))
        return name

    value = "image"
    for layer, (before, after) in enumerate(pairwise(CHANNELS)):
        stride = 1 if layer == 0 else 2
        inputs = [value, weight(f"w{layer}", after, before, 3, 3)]
        nodes.append(helper.make_node("Conv", inputs, [f"c{layer}"], pads=[1, 1, 1, 1], strides=[stride, stride]))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
        value = f"r{layer}"
    nodes.append(helper.make_node("GlobalAveragePool", [value], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"]))
    nodes.append(helper.make_node("Gemm", ["flat", weight("classes", 10, CHANNELS[-1])], ["scores"], transB=1))
    graph = helper.make_graph(
        nodes, "standard",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 10])],
        weights,
    )  # fmt: skip
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="fabric"
    )
    checker.check_model(model)
    return bytes(model.SerializeToString())


if __name__ == "__main__":
    Path(__file__).with_name("standard.onnx").write_bytes(standard_model())
