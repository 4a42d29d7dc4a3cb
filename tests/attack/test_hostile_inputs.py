"""Hostile inputs: small files that unfold into gigabytes of pixels or numbers, decoded plainly and by Fabric."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from tests.attack.plain_side import Plain, plainly
from tests.attack.slot import AttackedSlot
from tests.attack.table import INPUTS, record
from tests.fixtures import onnx_models
from tests.fixtures.api import Person
from tests.fixtures.orders import Orders

pytestmark = pytest.mark.timeout(300)
HEAVY_MIB = 600
CODEC = {
    "codec": "image",
    "resize": [8, 8],
    "crop": None,
    "color": "rgb",
    "layout": "nchw",
    "scale": 1 / 255,
    "mean": None,
    "std": None,
}


def png(width: int, height: int) -> bytes:
    """An image of one bit a pixel, all black."""
    deflate = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    pixels = b"".join(deflate.compress(row * 256) for _ in range(height // 256)) + deflate.flush()

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def many_pictures(side: int = 4096, frames: int = 60) -> bytes:
    """One GIF with many frames, each all of one colour."""
    from PIL import Image

    out = io.BytesIO()
    colours = [Image.new("P", (side, side), number) for number in range(frames)]
    colours[0].save(out, "GIF", save_all=True, append_images=colours[1:])
    return out.getvalue()


def zeros_npz(numbers: int = 300_000_000) -> bytes:
    """1.2 GB of zeros, deflated."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("x.npy", "w", force_zip64=True) as member,
    ):
        np.lib.format.write_array_header_1_0(member, {"descr": "<f4", "fortran_order": False, "shape": (numbers // 4, 4)})
        for _ in range(numbers // 1_000_000):
            member.write(bytes(4_000_000))
    return out.getvalue()


def lying_npz(claimed: int = 2**40) -> bytes:
    """A header that claims terabytes, and sixteen bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, archive.open("x.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, {"descr": "<f4", "fortran_order": False, "shape": (claimed // 16, 4)})
        member.write(bytes(16))
    return out.getvalue()


@pytest.fixture
def slot(orders: Orders) -> Iterator[AttackedSlot]:
    made = AttackedSlot(orders)
    yield made
    made.close()


def was_heavy(plain: Plain) -> bool:
    return plain.end != "ended" or plain.peak_mib > HEAVY_MIB


@pytest.mark.parametrize(
    ("attack", "build"),
    [
        ("an image of 169 megapixels in 20 kB", lambda: png(13_056, 13_056)),
        ("a moving picture (GIF) of 1 gigapixel", many_pictures),
    ],
)
def test_an_image_bomb(attack: str, build, slot: AttackedSlot, tmp_path: Path):
    content = build()
    path = tmp_path / "bomb"
    path.write_bytes(content)
    plain = plainly("open_image", str(path), timeout_s=10.0, enough_mib=HEAVY_MIB)
    record(INPUTS, attack, "plain", succeeded=was_heavy(plain), evidence=f"{len(content)} bytes: {plain.hurt}")
    good = png(256, 256)
    result = slot.decode([content, good], onnx_models.convolution(), CODEC)
    evidence = f"item 0: {', '.join(result.item_codes)}; its neighbour was delivered; {result.said}"
    # Of a moving picture the first frame may be used; the honest neighbour must be delivered in any case.
    delivered = result.status == "done" and len(result.outputs["y"]) == 2 - len(result.item_codes) >= 1
    outcome = record(INPUTS, attack, "fabric", succeeded=not delivered or result.peak_mib > HEAVY_MIB, evidence=evidence)
    assert not outcome.succeeded


@pytest.mark.parametrize(
    ("attack", "build"),
    [("a zip (.npz) of 1.2 GB in 1 MB", zeros_npz), ("a zip (.npz) that claims a terabyte in 300 bytes", lying_npz)],
)
async def test_a_zip_bomb(attack: str, build, api: httpx.AsyncClient, alice: Person, tmp_path: Path):
    content = build()
    path = tmp_path / "bomb.npz"
    path.write_bytes(content)
    plain = plainly("load_arrays", str(path), timeout_s=10.0, enough_mib=HEAVY_MIB)
    record(INPUTS, attack, "plain", succeeded=was_heavy(plain), evidence=f"{len(content)} bytes: {plain.hurt}")
    model = await api.post(
        "/api/v1/models", data={"name": "affine"}, files={"file": ("m.onnx", onnx_models.affine())}, headers=alice.headers
    )
    assert model.status_code == 201, model.text
    upload = await api.post("/api/v1/files", files={"files": ("bomb.npz", content)}, headers=alice.headers)
    before = psutil.Process().memory_info().rss
    grown = 0
    if upload.status_code == 201:
        file_id = upload.json()["data"][0]["id"]
        answer = await api.post(
            "/api/v1/jobs", json={"model": "affine", "inputs": [{"name": "x", "file": file_id}]},
            headers={**alice.headers, "Idempotency-Key": "bomb"},
        )  # fmt: skip
        grown = max(0, psutil.Process().memory_info().rss - before) // 1024**2
    else:
        answer = upload
    problem = answer.json()
    assert problem.get("code") != "invalid", problem  # of the file, not of how we asked
    why = "; ".join(str(error.get("msg") or error.get("detail")) for error in problem.get("errors", []))
    evidence = f"{answer.status_code} {problem.get('code')}: {why[:120]}; the API grew by {grown} MiB"
    outcome = record(INPUTS, attack, "fabric", succeeded=answer.status_code < 400 or grown > HEAVY_MIB, evidence=evidence)
    assert not outcome.succeeded, evidence
