"""A model card is checked against the model, and completed."""

import pytest

from fabric.catalog.card import complete_card
from fabric.core.errors import Invalid

INPUTS = {"image": {"dtype": "float32", "shape": [None, 3, 8, 8]}, "scale": {"dtype": "float32", "shape": [None, 1]}}
OUTPUTS = {"label": {"dtype": "int64", "shape": [None]}, "scores": {"dtype": "float32", "shape": [None, 3]}}


def errors_of(card: object) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        complete_card(card, INPUTS, OUTPUTS)
    return {error["loc"]: error["msg"] for error in refused.value.fields["errors"]}


def test_an_empty_card_takes_tensors_as_the_model_does():
    card = complete_card({}, INPUTS, OUTPUTS)
    assert card["description"] == ""
    assert card["outputs"] == {}
    assert {name: entry["codec"] for name, entry in card["inputs"].items()} == {"image": "tensor", "scale": "tensor"}
    assert card["inputs"]["image"]["dtype"] == "float32"


def test_completing_a_card_again_changes_nothing():
    given = {
        "description": "a test",
        "inputs": {"image": {"codec": "image", "resize": [10, 10], "crop": [8, 8], "mean": [0.1, 0.2, 0.3]}},
        "outputs": {"scores": {"labels": ["a", "b", "c"]}},
    }
    card = complete_card(given, INPUTS, OUTPUTS)
    assert complete_card(card, INPUTS, OUTPUTS) == card
    assert card["inputs"]["image"]["layout"] == "nchw"


def test_everything_that_is_wrong_is_told_at_once():
    errors = errors_of({
        "author": "me",
        "description": 7,
        "inputs": {"picture": {"codec": "image"}, "image": {"codec": "image", "resize": [9, 9]}, "scale": {"codec": "magic"}},
        "outputs": {"scores": {"labels": ["a", "b"]}, "top": {}},
    })  # fmt: skip
    assert set(errors) == {
        "card.author", "card.description", "card.inputs.picture", "card.inputs.image", "card.inputs.scale",
        "card.outputs.scores.labels", "card.outputs.top",
    }  # fmt: skip


@pytest.mark.parametrize(
    "card", [[], "text", {"inputs": []}, {"inputs": {"image": 3}}, {"outputs": {"scores": {"labels": [1, 2, 3]}}}]
)
def test_a_card_of_the_wrong_form_is_refused(card: object):
    assert errors_of(card)


@pytest.mark.parametrize(
    "entry",
    [
        {"codec": "image", "layout": "nhwc"},
        {"codec": "image", "color": "gray"},
        {"codec": "image", "std": [1, 1, 0]},
        {"codec": "image", "colour": "rgb"},
        {"codec": "tensor", "dtype": "object"},
        {"codec": "tensor", "mean": [1.0, 2.0]},
        {"codec": "tensor", "scale": float("nan")},
    ],
)
def test_an_entry_that_cannot_feed_its_input_is_refused(entry: dict):
    assert list(errors_of({"inputs": {"image": entry}})) == ["card.inputs.image"]


def test_labels_of_class_numbers_may_be_of_any_count():
    card = complete_card({"outputs": {"label": {"labels": ["cat", "dog"]}}}, INPUTS, OUTPUTS)
    assert card["outputs"]["label"]["labels"] == ["cat", "dog"]
