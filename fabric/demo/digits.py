"""The digits demo: a small classifier of scikit-learn's handwritten digits (real scans), its card and its held-out pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, PolynomialFeatures

from fabric.codecs.image import decode_pixels, encode_png

NAME = "digits"
SIDE = 8
GRAY_STEP = 15  # the scans have 17 shades, 0 … 16; as PNG they are spread over 0 … 240
HELD_OUT_SHARE = 0.5
OPSET = 17
CARD: dict[str, Any] = {
    "description": "Handwritten digits, 8 × 8 gray, scikit-learn",
    "inputs": {"image": {"codec": "image", "color": "gray", "layout": "flat", "resize": [SIDE, SIDE], "scale": 1 / GRAY_STEP}},
    "outputs": {"label": {"labels": [str(digit) for digit in range(10)]}},
}
"""The model card."""


@dataclass(frozen=True)
class Digits:
    """What the demo needs."""

    model: bytes  # ONNX: `image` float32 [N, 64] -> `label` int64 [N], `probabilities` float32 [N, 10]
    images: list[bytes]  # held out, one PNG each
    labels: NDArray[np.int64]  # the truth about them


@cache
def digits() -> Digits:
    """Train and export; the same in every call and on every run."""
    scans = load_digits()
    train, held_out, train_labels, labels = train_test_split(
        scans.data.astype(np.float32), scans.target.astype(np.int64), test_size=HELD_OUT_SHARE, random_state=0, stratify=scans.target
    )  # fmt: skip
    classifier = make_pipeline(MinMaxScaler(), LogisticRegression(C=10.0, max_iter=2000, random_state=0)).fit(train, train_labels)
    exported = convert_sklearn(
        classifier, NAME, [("image", FloatTensorType([None, SIDE * SIDE]))],
        target_opset=OPSET, options={id(classifier): {"zipmap": False}},
        final_types=None,
    )  # fmt: skip
    return Digits(exported.SerializeToString(), [png_of(scan) for scan in held_out], labels)
