"""Models that say nothing of their inputs, and files as people keep them: a zip of pictures, rows of a spreadsheet, weights beside."""

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from tests.journeys.test_people_use_the_console import played

pytestmark = [pytest.mark.ray, pytest.mark.timeout(200)]
SIDE, PICTURES, ROWS = 32, 9, 5
RANDOM = np.random.default_rng(6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What the person has on disk."""
    place = tmp_path_factory.mktemp("own-files")
    classify = [
        helper.make_node("GlobalAveragePool", ["pixels"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["colour"]),
        helper.make_node("ArgMax", ["colour"], ["strongest"], axis=1, keepdims=0),
    ]
    save(place / "colours.onnx", classify, ["N", 3, SIDE, SIDE], "pixels", ("strongest", TensorProto.INT64, ["N"]))
    weights = numpy_helper.from_array(RANDOM.normal(size=(4, 2)).astype(np.float32), "w")
    multiply = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    rows = save(place / "rows.onnx", multiply, ["N", 4], "x", ("y", TensorProto.FLOAT, ["N", 2]), weights)
    onnx.save(rows, place / "split.onnx", save_as_external_data=True, location="split.onnx.data", size_threshold=0)
    with zipfile.ZipFile(place / "pictures.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number, pixels in enumerate(pictures()):
            png = io.BytesIO()
            Image.fromarray(pixels).save(png, "PNG")
            archive.writestr(f"scans/{number}.png", png.getvalue())
        (place / "one.png").write_bytes(png.getvalue())
    lines = ["a\tb\tc\td", *("\t".join(map(str, row)) for row in table().tolist())]
    (place / "rows.tsv").write_text("\n".join(lines))
    return place


def test_somebody_with_files_that_nobody_prepared_gets_what_their_models_say(fabric, folder):
    # When a zip is given to a model without a card, and rows are pasted into another
    seen = played("files.mjs", fabric.url, "you@localhost", fabric.home.secret("you.password"), str(folder))

    # Then no page had an accessibility fault, asked another host, or wrote an error or a warning
    assert seen["faults"] == []
    # And the page knew what the input is, counted and showed the pictures before they were sent
    assert "This looks like pictures" in seen["offer"]
    assert f"{SIDE} × {SIDE}, RGB, values 0 … 1" in seen["settings"]
    assert (seen["counted"], seen["thumbnails"]) == (f"{PICTURES} items", 8)
    # And what it showed then is what the models say on this machine
    scaled = np.stack(pictures()).transpose(0, 3, 1, 2).astype(np.float32) / 255
    assert seen["labels"] == [str(label) for label in run_locally(folder / "colours.onnx", pixels=scaled)]
    assert len(set(seen["labels"])) == 3
    expected = run_locally(folder / "rows.onnx", x=table().astype(np.float32))
    assert np.allclose(np.array(seen["table"], float), expected, rtol=1e-5)
    heads, *rows = list(csv.reader(io.StringIO(seen["csv"])))
    assert heads == ["item", "y 0", "y 1"]
    assert np.allclose(np.array(rows, float)[:, 1:], expected, rtol=1e-6)
    # And weights that were left behind are asked for
    assert "split.onnx.data" in seen["missing"]


def pictures() -> list[np.ndarray]:
    """Noise, in each of which another colour is strongest."""
    random = np.random.default_rng(7)
    made = random.integers(0, 100, (PICTURES, SIDE, SIDE, 3), np.uint8)
    for number, pixels in enumerate(made):
        pixels[..., number % 3] += 100
    return list(made)


def table() -> np.ndarray:
    """Rows of measurements."""
    return np.random.default_rng(8).normal(size=(ROWS, 4)).round(3)


def save(path, nodes, shape, name, output, *weights):
    """Write a model with one input of floats."""
    given = helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, path.stem, [given], [helper.make_tensor_value_info(*output)], list(weights))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return model


def run_locally(path, **inputs):
    """The only output."""
    return onnxruntime.InferenceSession(path).run(None, inputs)[0]
