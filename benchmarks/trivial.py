"""The smallest model that still computes: y = 2x + 1 on four floats."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from fabric.client import Client


def trivial_model() -> bytes:
    """An ONNX file with a symbolic batch axis."""
    two, one = numpy_helper.from_array(np.float32(2), "two"), numpy_helper.from_array(np.float32(1), "one")
    nodes = [helper.make_node("Mul", ["x", "two"], ["doubled"]), helper.make_node("Add", ["doubled", "one"], ["y"])]
    tensor = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "trivial", tensor[:1], tensor[1:], [two, one])
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString())


def upload_trivial(client: Client) -> None:
    """Make it available as `trivial`."""
    client.models.upload("trivial", trivial_model())
