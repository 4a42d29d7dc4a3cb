"""Each template is a card that a small network of that shape is uploaded with, and whose jobs give what it promises."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from onnx import TensorProto, helper

from fabric.catalog.admit import admit
from fabric.client.cards import TEMPLATES, read_card, write_template
from fabric.codecs.assets import asset_field
from tests.fixtures import media
from tests.fixtures.codec_bench import Bench, embedding_model, files, texts
from tests.fixtures.onnx_models import model_of


@dataclass
class Try:
    """A network of a template's shape, what is given to it, and what must come of one item."""

    model: bytes
    part: object
    input_name: str
    output_name: str
    check: object


def classifier() -> bytes:
    """The mean of each colour, as three classes."""
    return model_of(
        [helper.make_node("GlobalAveragePool", ["image"], ["means"]), helper.make_node("Flatten", ["means"], ["logits"], axis=1)],
        {"image": ["N", 3, 224, 224]}, {"logits": ["N", 3]},
    )  # fmt: skip


def detector() -> bytes:
    """Two boxes that overlap, of one class of two, whatever the image; its mean is added as nothing."""
    table = np.zeros((1, 6, 2), np.float32)
    table[0, :4, 0], table[0, :4, 1] = [100, 100, 40, 20], [102, 100, 40, 20]
    table[0, 5] = [0.9, 0.8]
    return model_of(
        [
            helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
            helper.make_node("Unsqueeze", ["zero", "axes"], ["zeros"]),
            helper.make_node("Add", ["zeros", "table"], ["output0"]),
        ],
        {"images": ["N", 3, 640, 640]}, {"output0": ["N", 6, 2]},
        {"table": table, "nothing": np.array(0, np.float32), "axes": np.array([1, 2])},
    )  # fmt: skip


def embedder() -> bytes:
    return embedding_model(output="last_hidden_state") + asset_field("tokenizer.json", media.tokenizer_json().encode())


def speech(letters: int = 32) -> bytes:
    """Samples in frames of 1600, each heard as the letter E."""
    row = np.zeros((1, 1, letters), np.float32)
    row[0, 0, 5] = 1
    return model_of(
        [
            helper.make_node("Reshape", ["input_values", "frames"], ["framed"]),
            helper.make_node("ReduceMax", ["framed"], ["loud"], axes=[2], keepdims=1),
            helper.make_node("Abs", ["loud"], ["some"]),
            helper.make_node("Add", ["some", "one"], ["more"]),
            helper.make_node("Mul", ["more", "row"], ["logits"]),
        ],
        {"input_values": ["N", 160_000]}, {"logits": ["N", 100, letters]},
        {"frames": np.array([-1, 100, 1600]), "one": np.array(1, np.float32), "row": row},
    )  # fmt: skip


def is_best_class(found: object) -> bool:
    best = json.loads(found)
    return len(best) == 3 and abs(sum(one["score"] for one in best) - 1) < 1e-5


def is_one_box(found: object) -> bool:
    (box,) = json.loads(found)
    return box["index"] == 1 and np.allclose(box["box"], [80, 90, 120, 110])


TRIES = {
    "image-classifier": lambda: Try(classifier(), files("image", media.picture(side=32)), "image", "logits", is_best_class),
    "object-detector": lambda: Try(detector(), files("image", media.picture("WEBP", 16)), "images", "output0", is_one_box),
    "sentence-embedding": lambda: Try(
        embedder(), texts("the cat"), "input_ids", "last_hidden_state", lambda found: abs(np.linalg.norm(found) - 1) < 1e-5
    ),
    "speech": lambda: Try(speech(), files("audio", media.wav(0.5)), "input_values", "logits", lambda found: found == "E"),
}


@pytest.fixture(scope="module")
def slot():
    bench = Bench()
    yield bench
    bench.close()


@pytest.mark.parametrize("name", TEMPLATES)
async def test_a_template_is_admitted_with_a_network_of_its_shape_and_runs(name, slot, orders, tmp_path):
    trial = TRIES[name]()
    path = tmp_path / "card.toml"
    write_template(name, path)
    card = read_card(path)
    model = tmp_path / "model.onnx"
    model.write_bytes(trial.model)
    admission = await admit(model, card)
    assert admission.card["description"] == card["description"]
    outputs, errors = slot.run(orders, trial.model, card, trial.input_name, trial.part)
    assert errors == []
    assert trial.check(outputs[trial.output_name][0]), outputs[trial.output_name][0]


def test_a_card_that_is_there_already_is_not_written_over(tmp_path):
    path = tmp_path / "card.toml"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="exists already"):
        write_template("speech", path)
    assert path.read_text() == "mine"
    with pytest.raises(ValueError, match="image-classifier"):
        write_template("poetry", tmp_path / "other.toml")


def test_a_card_that_cannot_be_read_is_told_in_words(tmp_path):
    for name, content in (("card.toml", "= 3"), ("card.json", "{"), ("list.json", "[]")):
        (tmp_path / name).write_text(content)
        with pytest.raises(ValueError, match=name):
            read_card(tmp_path / name)


async def test_a_tokenizer_that_is_missing_or_damaged_is_told_at_upload(tmp_path):
    from fabric.core.errors import Invalid

    model = tmp_path / "model.onnx"
    for content, words in (
        (embedding_model(), "did not come"),
        (embedding_model() + asset_field("tokenizer.json", b"{}"), "read"),
    ):
        model.write_bytes(content)
        with pytest.raises(Invalid, match=words):
            await admit(model, {"inputs": {"input_ids": {"codec": "text"}}})


async def test_models_of_texts_and_of_bfloat16_are_admitted(tmp_path):
    for element, name in ((TensorProto.STRING, "string"), (TensorProto.BFLOAT16, "bfloat16")):
        model = tmp_path / f"{name}.onnx"
        model.write_bytes(model_of([helper.make_node("Identity", ["x"], ["y"])], {"x": ["N", 2]}, {"y": ["N", 2]}, dtype=element))
        admission = await admit(model, {})
        assert admission.inspection["inputs"]["x"]["dtype"] == name
        assert admission.profile["batchable"]
