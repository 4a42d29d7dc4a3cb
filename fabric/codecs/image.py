"""Images to model items: how a card declares them, and what becomes of their pixels.

The files themselves are opened by `pictures`, which is imported where an image is decoded and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fabric.codecs.base import (
    NO_ASSETS,
    Affine,
    Array,
    Assets,
    Buffer,
    ItemFailure,
    Payload,
    completed_scaling,
    refuse_unknown_keys,
)
from fabric.codecs.strings import check_sizes, items_of
from fabric.codecs.texts import VARIABLE, numpy_dtype
from fabric.core.errors import Invalid

SIDE_MAX = 16_384  # of resize and crop
_CHANNELS = {"rgb": 3, "bgr": 3, "gray": 1}
_LAYOUTS = ("nchw", "nhwc", "flat")
_ENTRY_KEYS = frozenset({"codec", "resize", "crop", "color", "layout", "scale", "mean", "std", "description"})


class ImageCodec:
    """`{"codec": "image", "resize": [h, w] | null, "crop": [h, w] | null, "color": "rgb" | "bgr" | "gray",
    "layout": "nchw" | "nhwc" | "flat", "scale", "mean", "std"}`.

    In this order: EXIF orientation, colour, resize (bilinear, both sides as given), centre crop, layout ("flat" is h × w × channels
    in a row), (x * scale - mean) / std. Without resize and crop an image must have exactly the size that the model takes.
    """

    name = "image"
    encoding = "image"
    fields: tuple[str, ...] = ()

    def complete_entry(self, entry: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
        """Fill in the defaults; `scale` is 1/255 unless given.

        Raises:
            Invalid: the entry cannot feed such an input.
        """
        refuse_unknown_keys(entry, _ENTRY_KEYS)
        if spec["dtype"] in VARIABLE:
            raise Invalid(f"pixels do not fit into {spec['dtype']}.")
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
        if numpy_dtype(spec["dtype"]).kind != "f" and not _affine_of(completed, spec).is_identity:
            raise Invalid(f"an input of {spec['dtype']} takes raw pixels: set `scale` to 1 and neither mean nor std.")
        if numpy_dtype(spec["dtype"]).kind == "b" or spec["dtype"] == "int8":
            raise Invalid(f"pixels do not fit into {spec['dtype']}.")
        return completed

    def decoder(self, entry: Mapping[str, Any], spec: Mapping[str, Any], assets: Assets = NO_ASSETS) -> "ImageDecoder":
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
        check_sizes(payload, "images")
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
        from fabric.codecs.pictures import CorruptImage  # Pillow is needed only where models run

        failures = []
        for row, data in enumerate(items_of(payload, start, stop)):
            try:
                pixels = self._pixels(data)
            except CorruptImage as error:
                failures.append(ItemFailure(start + row, error.code, str(error)))
                continue
            # Pixels stay rows × columns × channels; writing through a transposed view saves a copy.
            height, width = self.size
            target = out[row]
            if self.entry["layout"] == "nchw":
                target = target.transpose(1, 2, 0)
            self.affine.write(pixels, target.reshape(height, width, self.channels))
        return failures

    def _pixels(self, data: Buffer) -> Array:
        from fabric.codecs.pictures import CorruptImage, decode_pixels

        pixels = decode_pixels(data, self.entry["color"], self.entry["resize"])
        if crop := self.entry["crop"]:
            top, left = (pixels.shape[0] - crop[0]) // 2, (pixels.shape[1] - crop[1]) // 2
            if top < 0 or left < 0:
                raise CorruptImage("wrong_image_size", f"{_named(pixels.shape)} is smaller than the crop of {_named(crop)}")
            pixels = pixels[top : top + crop[0], left : left + crop[1]]
        if pixels.shape[:2] != self.size:
            raise CorruptImage("wrong_image_size", f"{_named(pixels.shape)} where the model takes {_named(self.size)}")
        return pixels


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
    return Affine.of(entry, numpy_dtype(spec["dtype"]), (1, 1, -1))


def _side_pair(key: str, entry: Mapping[str, Any]) -> list[int] | None:
    value = entry.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2 or any(type(n) is not int or not 0 < n <= SIDE_MAX for n in value):
        raise Invalid(f"`{key}` must be [height, width], each from 1 to {SIDE_MAX}.")
    return list(value)


def _named(size: tuple[int, ...] | list[int]) -> str:
    return f"{size[1]} × {size[0]}"
