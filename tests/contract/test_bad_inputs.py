"""Bad input for every codec is refused in words, item by item or whole. A new codec fails here until it has its bad cases."""

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from fabric.codecs.base import BadPayload, BatchDecoder, Decoder, Payload
from fabric.codecs.registry import CODECS, codec_named
from fabric.codecs.sounds import CorruptSound, read_wav
from fabric.codecs.texts import numpy_dtype, pack
from fabric.core.errors import Invalid
from tests.fixtures import media

KINDS = ("truncated", "lying header", "bomb", "wrong type", "empty")
Make = Callable[[], "Payload | bytes"]
FLOATS = {"dtype": "float32", "shape": [None, 4]}
PIXELS = {"dtype": "float32", "shape": [None, 3, 8, 8]}
FRAMES = {"dtype": "float32", "shape": [None, 2, 3, 16, 16]}
SAMPLES = {"dtype": "float32", "shape": [None, None]}
TOKENS = {"dtype": "int64", "shape": [None, None]}


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def bmp_claiming(side: int) -> bytes:
    content = bytearray(media.picture("BMP"))
    content[18:26] = struct.pack("<II", side, side)
    return bytes(content)


def wav_claiming(size: int, rate: int = 8000) -> bytes:
    content = bytearray(media.wav())
    content[24:28] = struct.pack("<I", rate)
    content[40:44] = struct.pack("<I", size)
    return bytes(content)


def gif_claiming(side: int) -> bytes:
    content = bytearray(media.movie("gif", frames=2))
    content[6:10] = struct.pack("<HH", side, side)
    return bytes(content)


def long_wav() -> bytes:
    return media.wav(seconds=601, rate=1000)


def text(*items: bytes) -> Payload:
    return Payload(len(items), b"".join(items), "string", (), tuple(map(len, items)))


def many_frames() -> bytes:
    """Two frames of 9216 × 9216 pixels, all of one colour."""
    out = io.BytesIO()
    first, second = (Image.new("P", (9216, 9216), shade) for shade in (0, 1))
    first.save(out, "GIF", save_all=True, append_images=[second])
    return out.getvalue()


BAD: dict[str, tuple[dict, dict, dict[str, Make]]] = {
    "tensor": ({}, FLOATS, {
        "truncated": lambda: Payload(2, bytes(31), "float32", (4,)),
        "lying header": lambda: Payload(2**40, bytes(16), "float32", (4,)),
        "bomb": lambda: Payload(1, bytes(16), "float32", (2**31, 2**31)),
        "wrong type": lambda: Payload(1, bytes(64), "complex128", (4,)),
        "empty": lambda: Payload(1, b"", "float32", (4,)),
    }),
    "image": ({}, PIXELS, {
        "truncated": lambda: media.picture()[:-40],
        "lying header": lambda: bmp_claiming(60),
        "bomb": lambda: png_claiming(60_000, 60_000),
        "wrong type": lambda: b"%PDF-1.7 no image at all",
        "empty": lambda: b"",
    }),
    "text": ({}, TOKENS, {
        "truncated": lambda: text("ü".encode()[:1]),
        "lying header": lambda: Payload(2, b"abc", "string", (), (1, 1)),
        "bomb": lambda: text(b"a " * 600_000),
        "wrong type": lambda: Payload(1, bytes(8), "int64", ()),
        "empty": lambda: Payload(1, b"", "string", (), ()),
    }),
    "audio": ({"rate": 8000}, SAMPLES, {
        "truncated": lambda: media.wav()[:-400],
        "lying header": lambda: wav_claiming(2**32 - 1),
        "bomb": long_wav,
        "wrong type": media.picture,
        "empty": lambda: b"",
    }),
    "video": ({}, FRAMES, {
        "truncated": lambda: media.movie()[:-300],
        "lying header": lambda: gif_claiming(65_535),
        "bomb": many_frames,
        "wrong type": media.wav,
        "empty": lambda: b"",
    }),
}  # fmt: skip
NOTHING_GIVEN = {"derived"}  # codecs whose inputs no requestor gives


def test_every_codec_has_every_kind_of_bad_input():
    assert set(BAD) | NOTHING_GIVEN == set(CODECS)
    assert all(set(cases) == set(KINDS) for _, _, cases in BAD.values())
    assert all(codec_named(name).encoding == "" for name in NOTHING_GIVEN)


def decoder_of(name: str) -> tuple[Decoder | BatchDecoder, dict]:
    entry, spec, _ = BAD[name]
    codec = codec_named(name)
    assets = {"tokenizer.json": media.tokenizer_json()}
    return codec.decoder(codec.complete_entry({"codec": name, **entry}, spec), spec, assets), spec


def failures_of(name: str, payload: Payload) -> list[tuple[int, str, str]]:
    decoder, spec = decoder_of(name)
    if isinstance(decoder, BatchDecoder):
        decoder.check(payload)
        ends = np.cumsum(payload.sizes)
        items = [memoryview(payload.data)[end - size : end] for end, size in zip(ends, payload.sizes, strict=True)]
        found = decoder.decode_batch(items)[1]
    else:
        out = np.empty((payload.item_count, *decoder.item_shape(payload)), numpy_dtype(spec["dtype"]))
        found = decoder.decode(payload, 0, payload.item_count, out)
    return [(failure.index, failure.code, failure.detail) for failure in found]


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name in BAD for kind in KINDS])
def test_bad_input_is_refused_in_words(name: str, kind: str):
    bad = BAD[name][2][kind]()
    if isinstance(bad, bytes):
        bad = Payload(1, bad, sizes=(len(bad),))
    try:
        failures = failures_of(name, bad)
    except BadPayload as refused:
        assert len(str(refused)) > 10
        return
    assert [index for index, _, _ in failures] == list(range(bad.item_count))
    assert all(code.islower() and len(detail) >= 8 for _, code, detail in failures), failures


@pytest.mark.parametrize(
    ("name", "good"),
    [("image", media.picture), ("audio", media.wav), ("video", media.movie)],
)
def test_a_bad_file_leaves_its_neighbours_alone(name: str, good: Callable[[], bytes]):
    contents = [good(), BAD[name][2]["wrong type"](), good()]
    payload = Payload(3, b"".join(contents), sizes=tuple(map(len, contents)))
    assert [index for index, _, _ in failures_of(name, payload)] == [1]


@pytest.mark.parametrize("size", range(0, len(media.wav(0.01)), 7))
def test_a_cut_sound_is_a_sound_or_a_refusal_and_nothing_else(size: int):
    try:
        read_wav(media.wav(0.01)[:size])
    except CorruptSound:
        pass


def test_texts_whose_lengths_lie_are_refused():
    spec = {"dtype": "string", "shape": [None, 2]}
    codec = codec_named("tensor")
    decoder = codec.decoder(codec.complete_entry({}, spec), spec)
    good, lying = pack(["a", "b"]), struct.pack("<II", 2**31, 1) + b"ab"
    out = np.empty((2, 2), object)
    failures = decoder.decode(Payload(2, good + lying, "string", (2,), (len(good), len(lying))), 0, 2, out)
    assert [(f.index, f.code) for f in failures] == [(1, "corrupt_text")]
    with pytest.raises(BadPayload):
        decoder.item_shape(Payload(1, bytes(16), "float32", (2,)))


@pytest.mark.parametrize(
    ("entry", "spec"),
    [
        ({"codec": "text"}, FLOATS), ({"codec": "text", "max_length": 0}, TOKENS), ({"codec": "text", "pad": "left"}, TOKENS),
        ({"codec": "text", "max_length": 9}, {"dtype": "int64", "shape": [None, 8]}), ({"codec": "text"}, {**TOKENS, "dtype": "string"}),
        ({"codec": "audio"}, TOKENS), ({"codec": "audio", "rate": 7}, SAMPLES), ({"codec": "audio", "seconds": -1}, SAMPLES),
        ({"codec": "audio", "seconds": 2}, {"dtype": "float32", "shape": [None, 16_000]}), ({"codec": "audio"}, PIXELS),
        ({"codec": "video"}, PIXELS), ({"codec": "video", "frames": 3}, FRAMES), ({"codec": "video", "every": 0}, FRAMES),
        ({"codec": "video"}, {"dtype": "float32", "shape": [None, None, 3, 8, 8]}), ({"codec": "video", "resize": [4, 4]}, FRAMES),
        ({"codec": "image"}, {"dtype": "string", "shape": [None, 3, 8, 8]}), ({"codec": "tensor", "scale": 2}, {**FLOATS, "dtype": "string"}),
        ({"codec": "derived", "from": "x"}, TOKENS), ({"codec": "derived", "from": "x", "field": "y"}, {**TOKENS, "dtype": "bool"}),
    ],
)  # fmt: skip
def test_an_entry_that_cannot_feed_its_input_is_told_why(entry: dict, spec: dict):
    with pytest.raises(Invalid) as refused:
        codec_named(entry["codec"]).complete_entry(entry, spec)
    assert len(refused.value.detail) > 20


def test_no_decoder_is_loaded_on_the_control_side_or_by_a_client():
    probe = (
        "import sys, fabric.client, fabric.jobs.resolve, fabric.jobs.downloads, fabric.dispatch.orders, fabric.catalog.card; "
        "print([m for m in ('PIL', 'av', 'tokenizers', 'onnxruntime') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
