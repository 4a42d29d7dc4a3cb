"""Every codec: what goes in stored comes out as the model's items."""

import io

import numpy as np
import pytest
from PIL import Image

from fabric.codecs.base import BadPayload, Payload
from fabric.codecs.pictures import encode_png
from fabric.codecs.registry import codec_named
from fabric.codecs.tensor import DATATYPES, json_of_tensor, rows_of, tensor_of_json
from fabric.core.errors import Invalid

EXACT = [
    ({"codec": "tensor"}, "float32", (2, 3), "rows"),
    ({"codec": "tensor", "dtype": "uint8"}, "float32", (4,), "rows"),
    ({"codec": "tensor"}, "int64", (), "rows"),
    ({"codec": "image", "scale": 1}, "uint8", (3, 5, 4), "image"),
    ({"codec": "image", "scale": 1, "layout": "nhwc"}, "float32", (5, 4, 3), "image"),
    ({"codec": "image", "scale": 1, "color": "gray"}, "float32", (1, 5, 4), "image"),
    ({"codec": "image", "scale": 1, "color": "gray", "layout": "flat"}, "float16", (16,), "image"),
    ({"codec": "image", "scale": 1, "color": "bgr"}, "uint8", (3, 5, 4), "image"),
]


def stored(entry: dict, items: np.ndarray) -> Payload:
    """Items as they would be uploaded."""
    if entry["codec"] == "tensor":
        rows = items.astype(entry.get("dtype", items.dtype))
        return Payload(len(items), rows_of(rows), rows.dtype.name, rows.shape[1:])
    files = []
    for item in items.astype(np.uint8):
        if entry.get("layout") == "flat":
            side = int(len(item) ** 0.5)
            pixels = item.reshape(side, side, 1)
        else:
            pixels = item if entry.get("layout") == "nhwc" else item.transpose(1, 2, 0)
        pixels = pixels[:, :, ::-1] if entry.get("color") == "bgr" else pixels
        files.append(encode_png(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)))
    return Payload(len(items), b"".join(files), sizes=tuple(len(f) for f in files))


@pytest.mark.parametrize(("entry", "dtype", "shape", "encoding"), EXACT)
def test_what_is_encoded_is_decoded_again(entry, dtype, shape, encoding):
    items = np.random.default_rng(0).integers(0, 200, (3, *shape)).astype(dtype)
    spec = {"dtype": dtype, "shape": [None, *shape]}
    codec = codec_named(entry["codec"])
    completed = codec.complete_entry(entry, spec)
    decoder = codec.decoder(completed, spec)
    payload = stored(entry, items)
    assert codec.encoding == encoding
    assert decoder.item_shape(payload) == shape
    out = np.zeros((2, *shape), dtype)
    assert decoder.decode(payload, 1, 3, out) == []
    np.testing.assert_array_equal(out, items[1:])
    view = decoder.view(payload, 1, 3)
    assert view is None or np.array_equal(view, items[1:])


@pytest.mark.parametrize(("entry", "dtype", "shape", "_encoding"), EXACT)
def test_completing_an_entry_twice_changes_nothing(entry, dtype, shape, _encoding):
    spec = {"dtype": dtype, "shape": [None, *shape]}
    codec = codec_named(entry["codec"])
    once = codec.complete_entry(entry, spec)
    assert codec.complete_entry(once, spec) == once


@pytest.mark.parametrize("datatype", DATATYPES)
def test_json_tensors_of_every_datatype_come_back(datatype):
    array = np.array([[0, 1], [1, 0]]).astype(DATATYPES[datatype])
    tensor = json_of_tensor("x", array)
    assert tensor["datatype"] == datatype
    back = tensor_of_json(tensor)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_scale_mean_and_std_are_applied_per_channel_by_both_codecs():
    pixels = np.random.default_rng(1).integers(0, 256, (2, 3, 6, 6), dtype=np.uint8)
    spec = {"dtype": "float32", "shape": [None, 3, 6, 6]}
    scaling = {"scale": 1 / 255, "mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7]}
    mean, std = (np.array(scaling[key]).reshape(3, 1, 1) for key in ("mean", "std"))
    expected = (pixels / 255 - mean) / std
    for entry in ({"codec": "tensor", "dtype": "uint8", **scaling}, {"codec": "image", **scaling}):
        codec = codec_named(entry["codec"])
        decoder = codec.decoder(codec.complete_entry(entry, spec), spec)
        out = np.empty((2, 3, 6, 6), np.float32)
        decoder.decode(stored(entry, pixels), 0, 2, out)
        np.testing.assert_allclose(out, expected, atol=1e-6)


def test_half_floats_are_scaled_before_they_are_rounded():
    spec = {"dtype": "float16", "shape": [None, 1]}
    entry = {"codec": "tensor", "dtype": "uint16", "scale": 1 / 65535}
    decoder = codec_named("tensor").decoder(codec_named("tensor").complete_entry(entry, spec), spec)
    out = np.empty((1, 1), np.float16)
    decoder.decode(stored(entry, np.array([[65535]])), 0, 1, out)
    assert out[0, 0] == 1


@pytest.mark.parametrize(
    ("entry", "dtype", "shape"),
    [
        ({"codec": "sound"}, "float32", [None, 4]),
        ({"codec": ["tensor"]}, "float32", [None, 4]),
        ({"codec": "tensor", "dtype": "complex64"}, "float32", [None, 4]),
        ({"codec": "tensor", "dtype": "float32"}, "int64", [None, 4]),
        ({"codec": "tensor", "dtype": "int64"}, "uint8", [None, 4]),
        ({"codec": "tensor", "scale": 0.5}, "int64", [None, 4]),
        ({"codec": "tensor", "scale": float("nan")}, "float32", [None, 4]),
        ({"codec": "tensor", "scale": "big"}, "float32", [None, 4]),
        ({"codec": "tensor", "mean": [1, 2]}, "float32", [None, 4]),
        ({"codec": "tensor", "std": 0}, "float32", [None, 4]),
        ({"codec": "tensor", "sclae": 2}, "float32", [None, 4]),
        ({"codec": "image"}, "float32", [None, 3, None, None]),
        ({"codec": "image"}, "float32", [None, 8, 8]),
        ({"codec": "image", "color": "gray"}, "float32", [None, 3, 8, 8]),
        ({"codec": "image", "color": "cmyk"}, "float32", [None, 3, 8, 8]),
        ({"codec": "image", "layout": "chw"}, "float32", [None, 3, 8, 8]),
        ({"codec": "image", "resize": [9, 9]}, "float32", [None, 3, 8, 8]),
        ({"codec": "image", "resize": [8]}, "float32", [None, 3, 8, 8]),
        ({"codec": "image", "resize": [100_000, 100_000]}, "float32", [None, 3, None, None]),
        ({"codec": "image", "resize": [8, 8], "crop": [9, 9]}, "float32", [None, 3, 9, 9]),
        ({"codec": "image"}, "uint8", [None, 3, 8, 8]),
        ({"codec": "image", "scale": 1}, "int8", [None, 3, 8, 8]),
        ({"codec": "image", "color": "gray", "layout": "flat"}, "float32", [None, 63]),
    ],
)
def test_a_card_entry_that_cannot_feed_the_input_is_refused(entry, dtype, shape):
    with pytest.raises(Invalid):
        codec_named(entry["codec"]).complete_entry(entry, {"dtype": dtype, "shape": shape})


def test_an_empty_entry_is_a_tensor_of_the_models_dtype():
    completed = codec_named("tensor").complete_entry({}, {"dtype": "int32", "shape": [None, 4]})
    assert completed == {"codec": "tensor", "dtype": "int32", "scale": 1.0, "mean": None, "std": None}


@pytest.mark.parametrize(
    "payload",
    [
        Payload(1, bytes(16), "float64", (4,)),
        Payload(2, bytes(16), "float32", (4,)),
        Payload(1, bytes(16), "float32", (2, 2)),
        Payload(1, bytes(12), "float32", (3,)),
        Payload(1, bytes(16), "complex64", (4,)),
        Payload(1, bytes(16)),
    ],
)
def test_rows_that_do_not_fit_the_input_are_refused_whole(payload):
    spec = {"dtype": "float32", "shape": [None, 4]}
    decoder = codec_named("tensor").decoder(codec_named("tensor").complete_entry({}, spec), spec)
    with pytest.raises(BadPayload):
        decoder.item_shape(payload)


@pytest.mark.parametrize("sizes", [(), (10,), (11,), (-1, 11), (4, 5, 1)])
def test_images_whose_sizes_do_not_add_up_are_refused_whole(sizes):
    spec = {"dtype": "float32", "shape": [None, 3, 8, 8]}
    decoder = codec_named("image").decoder(codec_named("image").complete_entry({"codec": "image"}, spec), spec)
    with pytest.raises(BadPayload):
        decoder.item_shape(Payload(2, bytes(10), sizes=sizes))


def test_unaligned_rows_are_copied_because_the_runtime_takes_a_pointer():
    spec = {"dtype": "float32", "shape": [None, 2]}
    decoder = codec_named("tensor").decoder(codec_named("tensor").complete_entry({}, spec), spec)
    items = np.array([[1, 2], [3, 4]], np.float32)
    buffer = io.BytesIO(b"?" + rows_of(items)).getbuffer()
    payload = Payload(2, buffer[1:], "float32", (2,))
    aligned = np.frombuffer(buffer[1:], np.float32).flags.aligned
    assert (decoder.view(payload, 0, 2) is None) == (not aligned)
    out = np.empty((2, 2), np.float32)
    decoder.decode(payload, 0, 2, out)
    np.testing.assert_array_equal(out, items)


def test_jpeg_is_accepted_too():
    spec = {"dtype": "float32", "shape": [None, 3, 8, 8]}
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (255, 0, 0)).save(buffer, "JPEG")
    decoder = codec_named("image").decoder(codec_named("image").complete_entry({"codec": "image"}, spec), spec)
    out = np.empty((1, 3, 8, 8), np.float32)
    assert decoder.decode(Payload(1, buffer.getvalue(), sizes=(len(buffer.getvalue()),)), 0, 1, out) == []
    np.testing.assert_allclose(out[0, :, 0, 0], [1, 0, 0], atol=0.02)
