"""SqueezeNet 1.1's architecture (Iandola et al. 2016) with seeded random weights, as an ONNX model.

A real convolutional workload without a download. The weights are random, so the answers mean nothing, but they differ from input
to input and every correct run gives the same ones.
"""

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

NAME = "squeezenet"
SIDE = 224
CLASSES = 1000
CARD: dict[str, Any] = {
    "description": "SqueezeNet 1.1 with random weights",
    "inputs": {
        "image": {
            "codec": "tensor", "dtype": "uint8", "scale": 1 / 255,
            "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
        },
    },
}  # fmt: skip
"""The model card: items are uint8 3 × 224 × 224, scaled on the provider."""

# (squeeze, expand) filters of the fire modules between the max-pools.
_STAGES = (((16, 64), (16, 64)), ((32, 128), (32, 128)), ((48, 192), (48, 192), (64, 256), (64, 256)))


class _Graph:
    """Nodes and initializers in the making."""

    def __init__(self, seed: int):
        self.random = np.random.default_rng(seed)
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []

    def convolution(
        self, source: str, name: str, channels: tuple[int, int], kernel: int, *, stride: int = 1, pad: int = 0
    ) -> str:
        """A convolution and its ReLU."""
        inputs, outputs = channels
        deviation = np.sqrt(2 / (inputs * kernel * kernel))  # He et al. 2015: keeps the signal's variance through ReLUs
        weights = self.random.normal(0, deviation, (outputs, inputs, kernel, kernel)).astype(np.float32)
        bias = self.random.normal(0, 0.01, outputs).astype(np.float32)
        self.initializers += [numpy_helper.from_array(weights, f"{name}.weight"), numpy_helper.from_array(bias, f"{name}.bias")]
        self.nodes.append(
            helper.make_node("Conv", [source, f"{name}.weight", f"{name}.bias"], [f"{name}.sum"], name,
                             kernel_shape=[kernel, kernel], strides=[stride, stride], pads=[pad] * 4),
        )  # fmt: skip
        self.nodes.append(helper.make_node("Relu", [f"{name}.sum"], [name]))
        return name

    def pool(self, source: str, name: str) -> str:
        """3 × 3 max-pooling with stride 2, rounding up."""
        self.nodes.append(helper.make_node("MaxPool", [source], [name], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1))
        return name

    def fire(self, source: str, name: str, inputs: int, squeeze: int, expand: int) -> str:
        """Squeeze to few channels, then expand by 1 × 1 and 3 × 3 filters side by side."""
        narrow = self.convolution(source, f"{name}.squeeze", (inputs, squeeze), 1)
        wide = [
            self.convolution(narrow, f"{name}.expand1x1", (squeeze, expand), 1),
            self.convolution(narrow, f"{name}.expand3x3", (squeeze, expand), 3, pad=1),
        ]
        self.nodes.append(helper.make_node("Concat", wide, [name], axis=1))
        return name


def build(seed: int = 0) -> bytes:
    """The model: `image` float32 [N, 3, 224, 224] -> `logits` float32 [N, 1000]. The same seed gives the same bytes."""
    graph = _Graph(seed)
    last, channels = graph.convolution("image", "conv1", (3, 64), 3, stride=2), 64
    number = 2
    for stage, fires in enumerate(_STAGES, start=1):
        last = graph.pool(last, f"pool{stage}")
        for squeeze, expand in fires:
            last, channels = graph.fire(last, f"fire{number}", channels, squeeze, expand), 2 * expand
            number += 1
    graph.convolution(last, "conv10", (channels, CLASSES), 1)
    graph.nodes.append(helper.make_node("GlobalAveragePool", ["conv10"], ["pooled"]))
    graph.nodes.append(helper.make_node("Flatten", ["pooled"], ["logits"], axis=1))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])
    made = helper.make_graph(graph.nodes, NAME, [image], [logits], graph.initializers)
    model: ModelProto = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9, producer_name="fabric")
    return bytes(model.SerializeToString())


def images(count: int, seed: int = 1) -> NDArray[np.uint8]:
    """Random pictures, uint8 [count, 3, 224, 224]."""
    return np.random.default_rng(seed).integers(0, 256, (count, 3, SIDE, SIDE), dtype=np.uint8)


def scaled(items: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the card makes of the items, for a local run to compare with."""
    entry = CARD["inputs"]["image"]
    mean, std = (np.asarray(entry[key], np.float32).reshape(3, 1, 1) for key in ("mean", "std"))
    return (items.astype(np.float32) * np.float32(entry["scale"]) - mean) / std


def run_locally(onnx: bytes, items: NDArray[np.uint8], batch_items: int = 4) -> dict[str, NDArray[np.float32]]:
    """What plain ONNX Runtime answers to the same items: the reference."""
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    starts = range(0, len(items), batch_items)
    answers = [session.run(["logits"], {"image": scaled(items[start : start + batch_items])})[0] for start in starts]
    return {"logits": np.concatenate(answers)}
