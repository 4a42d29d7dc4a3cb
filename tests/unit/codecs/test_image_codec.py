import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fabric.codecs.base import Payload
from fabric.codecs.image import ImageCodec
from fabric.codecs.pictures import CorruptImage, decode_pixels, encode_png

RANDOM = np.random.default_rng(3)
PICTURE = RANDOM.integers(0, 256, (6, 4, 3), dtype=np.uint8)
GOOD = encode_png(PICTURE)


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(entry: dict, shape: tuple[int, ...], *files: bytes):
    spec = {"dtype": "float32", "shape": [None, *shape]}
    decoder = ImageCodec().decoder(ImageCodec().complete_entry(entry, spec), spec)
    payload = Payload(len(files), b"".join(files), sizes=tuple(map(len, files)))
    out = np.full((len(files), *decoder.item_shape(payload)), -1, np.float32)
    return out, decoder.decode(payload, 0, len(files), out)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_claiming(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def test_a_corrupt_image_fails_alone_among_good_ones():
    entry = {"codec": "image", "scale": 1, "layout": "nhwc"}
    out, failures = decoded(entry, (6, 4, 3), GOOD, GOOD[:-30], b"not an image", GOOD)
    assert [(f.index, f.code) for f in failures] == [(1, "corrupt_image"), (2, "corrupt_image")]
    np.testing.assert_array_equal(out[0], PICTURE)
    np.testing.assert_array_equal(out[3], PICTURE)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_exif_orientation_is_respected(orientation, kind):
    # Given a picture whose left half is white, stored turned, with the note how to turn it back
    upright = np.zeros((16, 8, 3), np.uint8)
    upright[:8] = 255
    turn = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2), 6: np.rot90, 7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }  # fmt: skip
    image = Image.fromarray(np.ascontiguousarray(turn[orientation](upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    # Then it is decoded upright
    np.testing.assert_allclose(decode_pixels(saved(image, kind, exif=exif)).astype(int), upright, atol=4)


def test_damaged_exif_does_not_make_a_good_picture_bad():
    file = saved(Image.fromarray(PICTURE), exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff garbage")
    np.testing.assert_array_equal(decode_pixels(file), PICTURE)


@pytest.mark.parametrize(("width", "height"), [(10_000, 6_000), (12_000, 12_000), (60_000, 60_000)])
def test_an_image_with_too_many_pixels_is_refused_before_it_is_decoded(width, height):
    with pytest.raises(CorruptImage) as caught:
        decode_pixels(png_claiming(width, height))
    assert caught.value.code == "image_too_large"


def test_formats_that_nobody_needs_are_not_opened():
    for kind in ("PPM", "PCX", "TGA", "ICO"):
        with pytest.raises(CorruptImage):
            decode_pixels(saved(Image.fromarray(PICTURE), kind))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK"])
def test_every_colour_mode_becomes_rgb_and_gray(mode):
    if mode == "I;16":
        image = Image.fromarray(np.full((2, 2), 0x80FF, np.uint16))
    else:
        image = Image.new("RGB", (2, 2), (128, 128, 128))
        image = image.quantize(4) if mode == "P" else image.convert(mode)
    if mode == "P":
        image.info["transparency"] = bytes([0, 255])
    file = saved(image, "JPEG" if mode == "CMYK" else "PNG")
    rgb, gray = decode_pixels(file), decode_pixels(file, "gray")
    assert rgb.shape == (2, 2, 3)
    assert gray.shape == (2, 2, 1)
    if mode != "1":  # one bit is dithered
        np.testing.assert_allclose(rgb.astype(int), 128, atol=6)
        np.testing.assert_allclose(gray.astype(int), 128, atol=6)


def test_resize_then_crop_gives_what_the_model_takes():
    picture = np.zeros((40, 20, 3), np.uint8)
    picture[10:30, 5:15] = 200
    entry = {"codec": "image", "scale": 1, "resize": [20, 20], "crop": [4, 6]}
    out, failures = decoded(entry, (3, 4, 6), encode_png(picture))
    assert failures == []
    np.testing.assert_array_equal(out, np.full((1, 3, 4, 6), 200))


def test_the_colour_order_is_what_the_card_says():
    red = encode_png(np.full((2, 2, 3), (255, 0, 0), np.uint8))
    for color, expected in (("rgb", [255, 0, 0]), ("bgr", [0, 0, 255])):
        out, _ = decoded({"codec": "image", "scale": 1, "color": color}, (3, 2, 2), red)
        np.testing.assert_array_equal(out[0, :, 0, 0], expected)


def test_an_image_of_another_size_fails_alone_unless_the_card_resizes():
    other = encode_png(np.zeros((7, 4, 3), np.uint8))
    _, failures = decoded({"codec": "image"}, (3, 6, 4), other, GOOD)
    assert [(f.index, f.code) for f in failures] == [(0, "wrong_image_size")]
    assert "4 × 7" in failures[0].detail
    _, failures = decoded({"codec": "image", "crop": [6, 5]}, (3, 6, 5), GOOD)
    assert [f.code for f in failures] == ["wrong_image_size"]
    _, failures = decoded({"codec": "image", "resize": [6, 4]}, (3, 6, 4), other)
    assert failures == []


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_changed_byte_gives_a_picture_or_a_corrupt_image_and_nothing_else(position, value):
    changed = bytearray(GOOD)
    changed[position] = value
    try:
        decode_pixels(bytes(changed))
    except CorruptImage:
        pass


@given(st.binary(max_size=100))
def test_noise_is_a_corrupt_image(noise):
    for beginning in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"):
        with pytest.raises(CorruptImage):
            decode_pixels(beginning + noise)
