"""PNG and JPEG images to model items, and arrays of pixels to PNG.

An image is a stranger's: only these two formats are opened, their size is checked before a pixel is decoded, and whatever the
decoder says about a damaged file fails that one item.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from fabric.codecs.base import Affine, Array, BadPayload, Buffer, ItemFailure, Payload, completed_scaling, refuse_unknown_keys
from fabric.core.errors import Invalid

PIXELS_MAX = 50_000_000
SIDE_MAX = 16_384  # of resize and crop
FORMATS = ("PNG", "JPEG")
MEDIA_TYPES = frozenset({"image/png", "image/jpeg"})
_CHANNELS = {"rgb": 3, "bgr": 3, "gray": 1}
_LAYOUTS = ("nchw", "nhwc", "flat")
_ENTRY_KEYS = frozenset({"codec", "resize", "crop", "color", "layout", "scale", "mean", "std", "description"})


class CorruptImage(ValueError):
    """This image cannot be used; `code` is corrupt_image, image_too_large or wrong_image_size."""

    def __init__(self, code: str, detail: str):
        self.code = code
        super().__init__(detail)


class ImageCodec:
    """`{"codec": "image", "resize": [h, w] | null, "crop": [h, w] | null, "color": "rgb" | "bgr" | "gray",
    "layout": "nchw" | "nhwc" | "flat", "scale", "mean", "std"}`.

    In this order: EXIF orientation, colour, resize (bilinear, both sides as given), centre crop, layout ("flat" is h × w × channels
    in a row), (x * scale - mean) / std. Without resize and crop an image must have exactly the size that the model takes.
    """

    name = "image"
    encoding = "image"

    def complete_entry(self, entry: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
        """Fill in the defaults; `scale` is 1/255 unless given.

        Raises:
            Invalid: the entry cannot feed such an input.
        """
        refuse_unknown_keys(entry, _ENTRY_KEYS)
        color, layout = entry.get("color", "rgb"), entry.get("layout", "nchw")
        if not isinstance(color, str) or color not in _CHANNELS:
            raise Invalid(f"`color` must be one of {', '.join(_CHANNELS)}.")
        if layout not in _LAYOUTS:
            raise Invalid(f"`layout` must be one of {', '.join(_LAYOUTS)}.")
        resize, crop = _side_pair("resize", entry), _side_pair("crop", entry)
        if resize and crop and (crop[0] > resize[0] or crop[1] > resize[1]):
            raise Invalid("`crop` may not be larger than `resize`.")
        completed = {"codec": self.name, "resize": resize, "crop": crop, "color": color, "layout": layout}
        completed |= completed_scaling(entry, _CHANNELS[color], 1 / 255)
        _check_shape(completed, list(spec["shape"])[1:])
        if np.dtype(spec["dtype"]).kind != "f" and not _affine_of(completed, spec).is_identity:
            raise Invalid(f"an input of {spec['dtype']} takes raw pixels: set `scale` to 1 and neither mean nor std.")
        if np.dtype(spec["dtype"]).kind == "b" or spec["dtype"] == "int8":
            raise Invalid(f"pixels do not fit into {spec['dtype']}.")
        return completed

    def decoder(self, entry: Mapping[str, Any], spec: Mapping[str, Any]) -> "ImageDecoder":
        """Compile a completed entry."""
        wanted = tuple(spec["shape"])[1:]
        return ImageDecoder(dict(entry), _final_size(entry, list(wanted)), _CHANNELS[entry["color"]], _affine_of(entry, spec))


@dataclass(frozen=True, slots=True)
class ImageDecoder:
    """Image files to model items."""

    entry: Mapping[str, Any]
    size: tuple[int, int]  # height, width of what the model takes
    channels: int
    affine: Affine

    def item_shape(self, payload: Payload) -> tuple[int, ...]:
        """What the model takes, whatever the files hold.

        Raises:
            BadPayload: the sizes do not add up to the data.
        """
        if (
            len(payload.sizes) != payload.item_count
            or sum(payload.sizes) != len(payload.data)
            or min(payload.sizes, default=0) < 0
        ):
            raise BadPayload("the sizes of the images do not add up to the data")
        height, width = self.size
        shape = {
            "nchw": (self.channels, height, width),
            "nhwc": (height, width, self.channels),
            "flat": (height * width * self.channels,),
        }
        return shape[self.entry["layout"]]

    def view(self, payload: Payload, start: int, stop: int) -> Array | None:
        """Never: images must be decoded."""
        return None

    def decode(self, payload: Payload, start: int, stop: int, out: Array) -> list[ItemFailure]:
        """Decode one image after the other."""
        data = memoryview(payload.data)
        ends = list(accumulate(payload.sizes[:stop]))
        failures = []
        for row, index in enumerate(range(start, stop)):
            try:
                pixels = self._pixels(data[ends[index] - payload.sizes[index] : ends[index]])
            except CorruptImage as error:
                failures.append(ItemFailure(index, error.code, str(error)))
                continue
            # Pixels stay rows × columns × channels; writing through a transposed view saves a copy.
            height, width = self.size
            target = out[row]
            if self.entry["layout"] == "nchw":
                target = target.transpose(1, 2, 0)
            self.affine.write(pixels, target.reshape(height, width, self.channels))
        return failures

    def _pixels(self, data: Buffer) -> Array:
        pixels = decode_pixels(data, self.entry["color"], self.entry["resize"])
        if crop := self.entry["crop"]:
            top, left = (pixels.shape[0] - crop[0]) // 2, (pixels.shape[1] - crop[1]) // 2
            if top < 0 or left < 0:
                raise CorruptImage("wrong_image_size", f"{_named(pixels.shape)} is smaller than the crop of {_named(crop)}")
            pixels = pixels[top : top + crop[0], left : left + crop[1]]
        if pixels.shape[:2] != self.size:
            raise CorruptImage("wrong_image_size", f"{_named(pixels.shape)} where the model takes {_named(self.size)}")
        return pixels


def decode_pixels(data: Buffer, color: str = "rgb", resize: list[int] | None = None) -> Array:
    """An image file as uint8 height × width × channels, turned as its EXIF says, resized to `[h, w]` when given.

    Raises:
        CorruptImage: it cannot be decoded, or has more than PIXELS_MAX pixels.
    """
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
        if prod(image.size) > PIXELS_MAX:
            raise CorruptImage("image_too_large", f"{prod(image.size)} pixels; {PIXELS_MAX} are allowed")
        image.load()
        image = _in_mode(_upright(image), "L" if color == "gray" else "RGB")
        if resize:
            image = image.resize((resize[1], resize[0]), Image.Resampling.BILINEAR)
    except CorruptImage:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        # Pillow's own bounds, wider than ours, are checked before ours.
        raise CorruptImage("image_too_large", f"more than {PIXELS_MAX} pixels") from None
    except Exception as error:
        # Decoders fail on damaged files with nearly any exception: OSError, SyntaxError, struct.error, IndexError …
        raise CorruptImage("corrupt_image", f"not a readable PNG or JPEG ({type(error).__name__})") from error
    pixels = np.asarray(image)
    if color == "gray":
        return pixels[:, :, None]
    return pixels[:, :, ::-1] if color == "bgr" else pixels


def encode_png(pixels: Array) -> bytes:
    """A PNG of uint8 pixels: height × width for gray, height × width × 3 for RGB."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == mode:
        return image
    if image.mode.startswith("I"):
        # 16-bit gray: Pillow's own conversion clips at 255 instead of scaling.
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # straight to RGB, Pillow warns of every such file
    return image.convert(mode)


def _check_shape(entry: Mapping[str, Any], wanted: list[Any]) -> None:
    channels, layout = _CHANNELS[entry["color"]], entry["layout"]
    height, width = _final_size(entry, wanted)
    shape = {"nchw": [channels, height, width], "nhwc": [height, width, channels], "flat": [height * width * channels]}[layout]
    if len(shape) != len(wanted) or any(isinstance(w, int) and w != n for w, n in zip(wanted, shape, strict=True)):
        raise Invalid(f"gives items of {shape}; the model takes {['?' if w is None else w for w in wanted]}.")


def _final_size(entry: Mapping[str, Any], wanted: list[Any]) -> tuple[int, int]:
    if size := entry["crop"] or entry["resize"]:
        return int(size[0]), int(size[1])
    layout = entry["layout"]
    if layout != "flat":
        sides = wanted[1:3] if layout == "nchw" else wanted[:2]
        if len(wanted) == 3 and all(isinstance(side, int) for side in sides):
            return sides[0], sides[1]
    elif len(wanted) == 1 and isinstance(wanted[0], int):
        side = round((wanted[0] / _CHANNELS[entry["color"]]) ** 0.5)
        if side * side * _CHANNELS[entry["color"]] == wanted[0]:
            return side, side  # a flat input does not say its sides; without resize they can only be equal
    raise Invalid("`resize` or `crop` is needed: the model does not say which height and width it takes.")


def _affine_of(entry: Mapping[str, Any], spec: Mapping[str, Any]) -> Affine:
    # Computed on height × width × channels, whatever the layout.
    return Affine.of(entry, np.dtype(spec["dtype"]), (1, 1, -1))


def _side_pair(key: str, entry: Mapping[str, Any]) -> list[int] | None:
    value = entry.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2 or any(type(n) is not int or not 0 < n <= SIDE_MAX for n in value):
        raise Invalid(f"`{key}` must be [height, width], each from 1 to {SIDE_MAX}.")
    return list(value)


def _named(size: tuple[int, ...] | list[int]) -> str:
    return f"{size[1]} × {size[0]}"
