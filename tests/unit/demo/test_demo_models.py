import numpy as np
import onnx
import pytest

from fabric.codecs.base import Payload
from fabric.codecs.registry import codec_named
from fabric.demo import digits, squeezenet


@pytest.fixture(scope="module")
def network() -> bytes:
    return squeezenet.build()


def test_squeezenet_is_valid_and_the_same_every_time(network):
    onnx.checker.check_model(onnx.load_from_string(network), full_check=True)
    assert squeezenet.build() == network
    assert squeezenet.build(seed=1) != network


def test_squeezenet_answers_differently_to_different_inputs(network):
    logits = squeezenet.run_locally(network, squeezenet.images(6))["logits"]
    assert logits.shape == (6, 1000)
    differences = np.abs(logits[:, None] - logits[None]).max(axis=2)
    assert (differences[~np.eye(6, dtype=bool)] > 0.01).all()
    assert np.isfinite(logits).all()


def test_squeezenet_does_not_care_how_it_is_batched(network):
    items = squeezenet.images(5)
    single, batched = (squeezenet.run_locally(network, items, n)["logits"] for n in (1, 4))
    np.testing.assert_allclose(single, batched, atol=1e-4)


def test_the_squeezenet_card_gives_what_the_local_run_scales():
    items = squeezenet.images(2)
    spec = {"dtype": "float32", "shape": [None, 3, squeezenet.SIDE, squeezenet.SIDE]}
    entry = codec_named("tensor").complete_entry(squeezenet.CARD["inputs"]["image"], spec)
    out = np.empty(items.shape, np.float32)
    codec_named("tensor").decoder(entry, spec).decode(Payload(2, items.tobytes(), "uint8", items.shape[1:]), 0, 2, out)
    np.testing.assert_allclose(out, squeezenet.scaled(items), atol=1e-6)


def test_the_digits_classifier_reads_what_it_has_never_seen():
    trained = digits.train()
    answers = digits.run_locally(trained)
    assert len(trained.images_png) == len(trained.labels) == len(answers["label"])
    assert digits.accuracy(answers["label"], trained.labels) > 0.95
    assert answers["probabilities"].shape == (len(trained.labels), 10)
    onnx.checker.check_model(onnx.load_from_string(trained.onnx))


def test_the_digits_card_gives_what_the_local_run_reads():
    trained = digits.train()
    spec = {"dtype": "float32", "shape": [None, 64]}
    entry = codec_named("image").complete_entry(trained.card["inputs"]["image"], spec)
    files = trained.images_png[:3]
    out = np.empty((3, 64), np.float32)
    decoder = codec_named("image").decoder(entry, spec)
    assert decoder.decode(Payload(3, b"".join(files), sizes=tuple(map(len, files))), 0, 3, out) == []
    assert out.max() == pytest.approx(16)
    np.testing.assert_allclose(out, np.round(out), atol=1e-5)
