"""Every codec and every step once through a real slot: decoded, run and finished inside the sandbox."""

import io
import json

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from fabric.actors.messages import Part
from fabric.codecs.assets import asset_field
from fabric.codecs.strings import strings_of
from fabric.sandbox import launch
from tests.fixtures import media
from tests.fixtures.codec_bench import Bench, embedding_model, files, texts
from tests.fixtures.onnx_models import convolution, model_of


@pytest.fixture(scope="module")
def slot():
    bench = Bench()
    yield bench
    bench.close()


def identity(shape: list, dtype: int = TensorProto.FLOAT) -> bytes:
    return model_of([helper.make_node("Identity", ["x"], ["y"])], {"x": shape}, {"y": shape}, dtype=dtype)


def test_this_machine_has_a_sandbox():
    assert launch.isolation() == launch.SANDBOX, launch.why_no_sandbox()


def test_texts_go_in_and_out(slot, orders):
    rows = np.array([["a", "ü\n"], ["", "last"]], dtype=object)
    stored = strings_of(rows)
    part = Part(2, "strings", data=b"".join(stored), dtype="string", shape=(2,), sizes=tuple(map(len, stored)))
    outputs, errors = slot.run(orders, identity(["N", 2], TensorProto.STRING), {}, "x", part)
    assert (outputs["y"].tolist(), errors) == (rows.tolist(), [])
    outputs, errors = slot.run(orders, identity(["N"], TensorProto.STRING), {}, "x", texts("one", b"\xff", "three"))
    assert (outputs["y"].tolist(), errors) == (["one", "three"], [(1, "corrupt_text")])


def test_bfloat16_is_given_and_delivered_as_single_floats(slot, orders):
    values = np.array([[1, 2.5], [-0.125, 3e38]], np.float32)
    part = Part(2, "rows", data=values.tobytes(), dtype="float32", shape=(2,))
    outputs, _ = slot.run(orders, identity(["N", 2], TensorProto.BFLOAT16), {}, "x", part)
    assert outputs["y"].dtype == np.float32
    np.testing.assert_allclose(outputs["y"], values, rtol=2**-8)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "bool"])
def test_numbers_of_every_type_come_back(slot, orders, dtype):
    values = np.array([[0, 1], [1, 0]]).astype(dtype)
    part = Part(2, "rows", data=values.tobytes(), dtype=dtype, shape=(2,))
    outputs, _ = slot.run(orders, identity(["N", 2], helper.np_dtype_to_tensor_dtype(np.dtype(dtype))), {}, "x", part)
    assert outputs["y"].dtype == dtype
    np.testing.assert_array_equal(outputs["y"], values)


def test_images_of_every_format_are_decoded_and_images_come_out(slot, orders):
    forms = ("PNG", "BMP", "TIFF", "WEBP", "JPEG", "GIF")
    card = {"inputs": {"x": {"codec": "image"}}, "outputs": {"y": {"steps": [{"do": "image", "format": "png"}]}}}
    part = files("image", *(media.picture(form) for form in forms), b"no image")
    outputs, errors = slot.run(orders, identity(["N", 3, 8, 8]), card, "x", part)
    assert errors == [(6, "corrupt_image")]
    pixels = [np.asarray(Image.open(io.BytesIO(content)).convert("RGB")) for content in outputs["y"]]
    for index in range(4):
        np.testing.assert_array_equal(pixels[index], np.asarray(Image.open(io.BytesIO(media.picture())).convert("RGB")))
    card["outputs"]["y"]["steps"] = [{"do": "image", "format": "jpeg"}]
    outputs, _ = slot.run(orders, identity(["N", 3, 8, 8]), card, "x", files("image", media.picture()))
    assert outputs["y"][0][:3] == b"\xff\xd8\xff"


def test_the_best_classes_come_with_their_labels(slot, orders):
    card = {
        "inputs": {"image": {"codec": "image"}},
        "outputs": {"y": {"labels": ["a", "b", "c", "d"], "steps": [{"do": "softmax"}, {"do": "top_k", "k": 2}]}},
    }
    outputs, _ = slot.run(orders, convolution(), card, "image", files("image", media.picture()))
    best = json.loads(outputs["y"][0])
    assert len(best) == 2 and best[0]["score"] >= best[1]["score"] and best[0]["label"] in "abcd"


def test_texts_become_unit_vectors_with_the_models_own_tokenizer(slot, orders):
    content = embedding_model() + asset_field("tokenizer.json", media.tokenizer_json().encode())
    card = {
        "inputs": {"input_ids": {"codec": "text", "max_length": 8}},
        "outputs": {"hidden": {"steps": [{"do": "mean_pool", "mask": "attention_mask"}, {"do": "normalize"}]}},
    }
    part = texts("the cat sat", "the", b"\xff\xfe", "a cat sat on the mat the cat sat on a mat")
    outputs, errors = slot.run(orders, content, card, "input_ids", part, batch=4)
    assert errors == [(2, "corrupt_text")]
    vectors = numpy_helper.to_array(onnx_initializer(content, "vectors"))
    np.testing.assert_allclose(np.linalg.norm(outputs["hidden"], axis=1), 1, rtol=1e-5)
    wanted = vectors[[1, 4, 2]].mean(axis=0)  # [CLS] the [SEP]: the padding beside it does not count
    np.testing.assert_allclose(outputs["hidden"][1], wanted / np.linalg.norm(wanted), rtol=1e-4)


def onnx_initializer(content: bytes, name: str):
    import onnx

    return next(t for t in onnx.load_from_string(content).graph.initializer if t.name == name)


def test_sounds_of_other_rates_and_kinds_become_samples(slot, orders):
    card = {"inputs": {"x": {"codec": "audio", "rate": 8000, "seconds": 0.1}}}
    sounds = (media.wav(), media.wav(rate=16000, channels=2), media.flac(), media.wav()[:-400], b"noise")
    outputs, errors = slot.run(orders, identity(["N", "T"]), card, "x", files("audio", *sounds))
    assert errors == [(3, "corrupt_audio"), (4, "corrupt_audio")]
    first, resampled, other = outputs["y"]
    assert len(first) == 800
    np.testing.assert_allclose(resampled[50:-50], first[50:-50], atol=0.02)
    np.testing.assert_allclose(other, first, atol=1e-3)


def test_frames_are_taken_evenly_or_every_so_many(slot, orders):
    shape = ["N", 4, 3, 16, 16]
    card = {"inputs": {"x": {"codec": "video", "scale": 1}}}
    part = files("video", media.movie(), media.movie("gif"), media.movie()[:-300], b"no video")
    outputs, errors = slot.run(orders, identity(shape), card, "x", part)
    assert errors == [(2, "corrupt_video"), (3, "corrupt_video")]
    for item in outputs["y"]:
        np.testing.assert_allclose(item.mean(axis=(1, 2, 3)), [20, 60, 100, 140], atol=6)
    card["inputs"]["x"]["every"] = 3
    outputs, _ = slot.run(orders, identity(shape), card, "x", files("video", media.movie("matroska")))
    np.testing.assert_allclose(outputs["y"][0].mean(axis=(1, 2, 3)), [0, 60, 120, 140], atol=6)
