"""Steps on outputs: what they compute, and what a card may not ask for."""

import json

import numpy as np
import pytest

from fabric.codecs.boxes import suppressed
from fabric.codecs.outputs import Delivery, complete_output, delivered
from fabric.codecs.steps import BadOutput
from fabric.core.errors import Invalid

INPUTS = {"ids": {"dtype": "int64", "shape": [None, None]}, "mask": {"dtype": "int64", "shape": [None, None]}}


def done(values: dict[str, np.ndarray], entries: dict, feeds: dict | None = None, shapes: dict | None = None) -> dict:
    specs = {
        name: {"dtype": value.dtype.name, "shape": (shapes or {}).get(name, [None, *value.shape[1:]])}
        for name, value in values.items()
    }
    cards = {name: complete_output(name, entry, INPUTS, specs) for name, entry in entries.items()}
    again = {name: complete_output(name, entry, INPUTS, specs) for name, entry in cards.items()}
    assert cards == again
    delivery = Delivery({name: {**spec, "card": cards.get(name)} for name, spec in specs.items()}, INPUTS)
    assert delivery.specs == delivered(specs, cards, INPUTS)
    return delivery.apply(values, feeds or {})


def test_softmax_survives_large_numbers_and_sums_to_one():
    scores = np.array([[1e4, 1e4, -1e4], [0, 0, 0]], np.float32)
    found = done({"y": scores}, {"y": {"steps": [{"do": "softmax"}]}})["y"]
    np.testing.assert_allclose(found, [[0.5, 0.5, 0], [1 / 3] * 3], rtol=1e-6)
    assert found.dtype == np.float32


def test_the_best_classes_come_first_with_their_labels():
    scores = np.array([[0.1, 0.7, np.nan], [3.0, 2.0, 1.0]], np.float32)
    entry = {"labels": ["a", "b", "c"], "steps": [{"do": "top_k", "k": 2}]}
    first, second = map(json.loads, done({"y": scores}, {"y": entry})["y"])
    assert [one["label"] for one in first] == ["b", "a"]
    assert second == [{"index": 0, "label": "a", "score": 3.0}, {"index": 1, "label": "b", "score": 2.0}]


def test_pooling_counts_only_what_the_mask_does():
    hidden = np.array([[[1, 2], [3, 4], [100, 100]]], np.float32)
    entry = {"steps": [{"do": "mean_pool", "mask": "mask"}, {"do": "normalize"}]}
    found = done({"y": hidden}, {"y": entry}, {"mask": np.array([[1, 1, 0]])})["y"]
    np.testing.assert_allclose(found, np.array([[2, 3]]) / np.sqrt(13), rtol=1e-6)
    with pytest.raises(BadOutput, match="mask"):
        done({"y": hidden}, {"y": entry}, {"mask": np.array([[1, 1]])})


def test_letters_are_written_once_and_blanks_not_at_all():
    path = [0, 1, 1, 0, 1, 3, 2, 2]
    logits = np.eye(4, dtype=np.float32)[path][None]
    found = done({"y": logits}, {"y": {"labels": ["-", "a", "b", "|"], "steps": [{"do": "ctc"}]}})["y"]
    assert found.tolist() == ["aa b"]


def test_overlapping_boxes_of_a_class_are_one_and_the_threshold_holds():
    boxes = np.array([[[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [50, 50, 60, 60], [0, 0, np.inf, 1]]], np.float32)
    scores = np.array([[[0.9, 0], [0.8, 0], [0, 0.7], [0.2, 0], [1, 0]]], np.float32)
    steps = [{"do": "detections", "scores": "scores", "threshold": 0.5}]
    found = done(
        {"boxes": boxes, "scores": scores}, {"boxes": {"labels": ["cat", "dog"], "steps": steps}, "scores": {"deliver": False}}
    )
    assert list(found) == ["boxes"]
    kept = json.loads(found["boxes"][0])
    assert [(box["label"], box["box"]) for box in kept] == [("cat", [0, 0, 10, 10]), ("dog", [0, 0, 10, 10])]


@pytest.mark.parametrize(
    ("form", "box"), [("xyxy", [2, 4, 6, 8]), ("yxyx", [4, 2, 8, 6]), ("xywh", [2, 4, 4, 4]), ("cxcywh", [4, 6, 4, 4])]
)
def test_boxes_of_every_form_become_corners(form: str, box: list[int]):
    table = np.array([[[*box, 0.9]]], np.float32)
    (found,) = json.loads(done({"y": table}, {"y": {"steps": [{"do": "detections", "format": form}]}})["y"][0])
    assert found["box"] == [2, 4, 6, 8]


def test_suppression_ends_at_its_count():
    boxes = np.array([[i * 20, 0, i * 20 + 10, 10] for i in range(9)], float)
    assert suppressed(boxes, np.zeros(9), 0.5, 4) == [0, 1, 2, 3]


Y = np.zeros((1, 3), np.float32)


@pytest.mark.parametrize(
    ("entry", "values"),
    [
        ({"steps": [{"do": "magic"}]}, Y), ({"steps": {}, "deliver": 1}, Y), ({"steps": [{"do": "softmax", "axis": 1}]}, Y),
        ({"steps": [{"do": "top_k", "k": 0}]}, Y), ({"steps": [{"do": "top_k"}, {"do": "softmax"}]}, Y),
        ({"steps": [{"do": "softmax"}]}, Y.astype(np.int64)), ({"steps": [{"do": "mean_pool"}]}, Y),
        ({"steps": [{"do": "mean_pool", "mask": "nothing"}]}, Y[None]), ({"steps": [{"do": "ctc"}]}, Y[None]),
        ({"steps": [{"do": "detections"}]}, Y), ({"steps": [{"do": "detections", "scores": "z"}]}, Y[None]),
        ({"steps": [{"do": "detections", "threshold": 2}]}, np.zeros((1, 2, 6), np.float32)),
        ({"steps": [{"do": "image", "format": "tiff"}]}, Y), ({"steps": [{"do": "image"}]}, Y),
        ({"steps": [{"do": "image"}]}, np.zeros((1, 2, 4, 4), np.float32)),
        ({"steps": [{"do": "softmax"}] * 9}, Y), ({"deliver": False, "steps": [{"do": "softmax"}]}, Y), ({"lables": []}, Y),
        ({"labels": ["a"], "steps": [{"do": "top_k"}]}, Y),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_words(entry: dict, values: np.ndarray):
    with pytest.raises(Invalid) as refused:
        done({"y": values}, {"y": entry})
    assert len(refused.value.detail) > 15


def test_an_image_that_the_model_made_too_large_is_an_error_of_the_output():
    values = np.zeros((1, 1, 8000, 7000), np.uint8)
    with pytest.raises(BadOutput, match="pixels"):
        done({"y": values}, {"y": {"steps": [{"do": "image"}]}}, shapes={"y": [None, 1, None, None]})
