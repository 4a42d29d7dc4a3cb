"""The digits demo: a small classifier of scikit-learn's handwritten digits (real scans), its card and its held-out pictures."""

import io
import json
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from fabric.codecs.pictures import encode_png

NAME = "digits"
SIDE = 8
PICTURES_WRITTEN = 100
GRAY_STEP = 15  # the scans have 17 shades, 0 … 16; as PNG they are spread over 0 … 240
OPSETS = {"": 17, "ai.onnx.ml": 3}
CARD: dict[str, Any] = {
    "description": "Handwritten digits, 8 × 8 gray, from scikit-learn",
    "inputs": {"image": {"codec": "image", "color": "gray", "layout": "flat", "scale": 1 / GRAY_STEP}},
    "outputs": {"label": {"labels": [str(digit) for digit in range(10)]}},
}
"""The model card."""


@dataclass(frozen=True)
class TrainedDigits:
    """What the demo needs."""

    onnx: bytes  # `image` float32 [N, 64] -> `label` int64 [N], `probabilities` float32 [N, 10]
    card: dict[str, Any]
    images_png: tuple[bytes, ...]  # held out, one file each
    labels: NDArray[np.int64]  # the truth about them


@cache
def train() -> TrainedDigits:
    """Train on one half of the scans (about a second), hold out the other; every call and every run gives the same."""
    scans = load_digits()
    seen, held_out, seen_labels, labels = train_test_split(
        scans.data.astype(np.float32), scans.target.astype(np.int64), test_size=0.5, random_state=0, stratify=scans.target
    )
    classifier = MLPClassifier((128,), random_state=0, max_iter=400).fit(seen, seen_labels)
    exported = convert_sklearn(
        classifier, NAME, [("image", FloatTensorType([None, SIDE * SIDE]))],
        target_opset=OPSETS, options={id(classifier): {"zipmap": False}},
    )  # fmt: skip
    return TrainedDigits(bytes(exported.SerializeToString()), CARD, tuple(png_of(scan) for scan in held_out), labels)


def png_of(scan: NDArray[np.float32]) -> bytes:
    """A scan's 64 values, 0 … 16, as an 8 × 8 gray PNG."""
    return encode_png((scan.reshape(SIDE, SIDE) * GRAY_STEP).astype(np.uint8))


def accuracy(predicted: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """The share that was read rightly."""
    return float(np.mean(predicted == labels))


def run_locally(trained: TrainedDigits) -> dict[str, NDArray[Any]]:
    """What plain ONNX Runtime answers to the same pictures, without any part of Fabric: the reference."""
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(png))).ravel() for png in trained.images_png])
    session = onnxruntime.InferenceSession(trained.onnx, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    answers = session.run(names, {"image": pixels.astype(np.float32) / np.float32(GRAY_STEP)})
    return {name: np.asarray(answer) for name, answer in zip(names, answers, strict=True)}


def write(folder: Path) -> None:
    """Write the model, its card and the held-out scans as files: digits.onnx, card.json, scans/0000.png …"""
    trained = train()
    (folder / "scans").mkdir(parents=True, exist_ok=True)
    (folder / "digits.onnx").write_bytes(trained.onnx)
    (folder / "card.json").write_text(json.dumps(trained.card, indent=2))
    for number, picture in enumerate(trained.images_png[:PICTURES_WRITTEN]):
        (folder / "scans" / f"{number:04}.png").write_bytes(picture)


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "digits"))
