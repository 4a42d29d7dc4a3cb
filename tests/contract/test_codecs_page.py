"""docs/codecs.md: every card in it is one that a model is taken with, and it leaves out no codec, step or template."""

import json
import re
from pathlib import Path

import pytest

from fabric.catalog.card import complete_card
from fabric.client.cards import TEMPLATES
from fabric.codecs.outputs import ALL_STEPS
from fabric.codecs.registry import CODECS, codec_named

PAGE = (Path(__file__).parents[2] / "docs" / "codecs.md").read_text()
CARDS = [json.loads(text) for text in re.findall(r"```json card\n(.*?)```", PAGE, re.DOTALL)]
INPUTS = {
    "x": {"dtype": "float32", "shape": [None, 3]},
    "image": {"dtype": "float32", "shape": [None, 3, 8, 8]},
    "input_ids": {"dtype": "int64", "shape": [None, None]},
    "attention_mask": {"dtype": "int64", "shape": [None, None]},
    "samples": {"dtype": "float32", "shape": [None, None]},
    "clip": {"dtype": "float32", "shape": [None, 4, 3, 16, 16]},
}
OUTPUTS = {
    "hidden": {"dtype": "float32", "shape": [None, None, 8]},
    "scores": {"dtype": "float32", "shape": [None, 3]},
    "boxes": {"dtype": "float32", "shape": [None, None, 4]},
    "scores_of_boxes": {"dtype": "float32", "shape": [None, None, 3]},
    "picture": {"dtype": "float32", "shape": [None, 3, None, None]},
}
ROWS = re.findall(r"^\| `(\w+)` \|.*\| `(\{.*\})` \|$", PAGE, re.MULTILINE)
FEEDS = {
    "tensor": INPUTS["x"], "image": {"dtype": "float32", "shape": [None, 3, 224, 224]}, "text": INPUTS["input_ids"],
    "audio": INPUTS["samples"], "video": {"dtype": "float32", "shape": [None, 8, 3, 16, 16]}, "derived": INPUTS["attention_mask"],
}  # fmt: skip


@pytest.mark.parametrize("card", CARDS)
def test_a_card_on_the_page_is_a_card(card: dict):
    completed = complete_card(card, INPUTS, OUTPUTS)
    assert complete_card(completed, INPUTS, OUTPUTS) == completed


def test_the_table_has_a_good_entry_for_every_codec():
    assert {name for name, _ in ROWS} == set(CODECS)
    for name, entry in ROWS:
        assert codec_named(name).complete_entry(json.loads(entry), FEEDS[name])["codec"] == name


def test_every_step_and_template_is_named():
    assert all(f"`{name}`" in PAGE for name in (*ALL_STEPS, *TEMPLATES))
    assert len(CARDS) >= 8
