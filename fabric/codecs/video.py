"""Videos to a fixed number of frames: how a card declares them, and which frames are taken."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fabric.codecs.base import NO_ASSETS, Affine, Array, Assets, ItemFailure, Payload, completed_scaling, refuse_unknown_keys
from fabric.codecs.strings import check_sizes, items_of
from fabric.codecs.texts import VARIABLE, numpy_dtype
from fabric.core.errors import Invalid

SIDE_MAX = 4096  # of resize
FRAMES_MAX = 1024  # of one item
EVERY_MAX = 10_000
_LAYOUTS = ("tchw", "thwc", "cthw")
_ENTRY_KEYS = frozenset({"codec", "frames", "every", "resize", "color", "layout", "scale", "mean", "std", "description"})


class VideoCodec:
    """`{"codec": "video", "frames": count, "every": n | null, "resize": [h, w], "color": "rgb" | "bgr", "layout": "tchw" | "thwc" |
    "cthw", "scale", "mean", "std"}`.

    A file (MP4, Matroska or WebM, AVI, GIF) gives `frames` frames: spread evenly over it, or with `every` its first, n-th, 2n-th …; a
    shorter one repeats its last frame. Frames are resized (bilinear), then scaled as images are.
    """

    name = "video"
    encoding = "video"
    fields: tuple[str, ...] = ()

    def complete_entry(self, entry: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
        """Fill in the defaults; frames and size follow the model where it fixes them.

        Raises:
            Invalid: the entry cannot feed such an input.
        """
        refuse_unknown_keys(entry, _ENTRY_KEYS)
        color, layout = entry.get("color", "rgb"), entry.get("layout", "tchw")
        if color not in {"rgb", "bgr"} or layout not in _LAYOUTS:
            raise Invalid(f"`color` must be rgb or bgr, `layout` one of {', '.join(_LAYOUTS)}.")
        shape = list(spec["shape"])[1:]
        if spec["dtype"] in VARIABLE or numpy_dtype(spec["dtype"]).kind not in "fu" or len(shape) != 4:
            raise Invalid(f"frames need an input of floating numbers or pixels with five axes, items × {' × '.join(layout)}.")
        said = dict(zip(layout, shape, strict=True))
        frames, every = entry.get("frames", said["t"]), entry.get("every")
        if type(frames) is not int or not 1 <= frames <= FRAMES_MAX or said["t"] not in {None, frames}:
            raise Invalid(f"`frames` must be from 1 to {FRAMES_MAX}, and what the model takes where it says so.")
        if every is not None and (type(every) is not int or not 1 <= every <= EVERY_MAX):
            raise Invalid(f"`every` must be a whole number from 1 to {EVERY_MAX}.")
        resize = entry.get("resize") or [said["h"], said["w"]]
        if not isinstance(resize, list) or len(resize) != 2 or any(type(n) is not int or not 1 <= n <= SIDE_MAX for n in resize):
            raise Invalid(f"`resize` must be [height, width], each from 1 to {SIDE_MAX}.")
        if said["c"] not in {None, 3} or said["h"] not in {None, resize[0]} or said["w"] not in {None, resize[1]}:
            raise Invalid(
                f"gives frames of 3 × {resize[0]} × {resize[1]}; the model takes {said['c']} × {said['h']} × {said['w']}."
            )
        completed = {"codec": self.name, "frames": frames, "every": every, "resize": resize, "color": color, "layout": layout}
        completed |= completed_scaling(entry, 3, 1 / 255)
        if numpy_dtype(spec["dtype"]).kind != "f" and not _affine_of(completed, spec).is_identity:
            raise Invalid(f"an input of {spec['dtype']} takes raw pixels: set `scale` to 1 and neither mean nor std.")
        return completed

    def decoder(self, entry: Mapping[str, Any], spec: Mapping[str, Any], assets: Assets = NO_ASSETS) -> "VideoDecoder":
        """Compile a completed entry."""
        return VideoDecoder(dict(entry), _affine_of(entry, spec))


@dataclass(frozen=True, slots=True)
class VideoDecoder:
    """Video files to model items."""

    entry: Mapping[str, Any]
    affine: Affine

    def item_shape(self, payload: Payload) -> tuple[int, ...]:
        """What the model takes, whatever the files hold.

        Raises:
            BadPayload: the sizes do not add up to the data.
        """
        check_sizes(payload, "videos")
        sides = {"t": self.entry["frames"], "c": 3, "h": self.entry["resize"][0], "w": self.entry["resize"][1]}
        return tuple(sides[axis] for axis in self.entry["layout"])

    def view(self, payload: Payload, start: int, stop: int) -> Array | None:
        """Never: videos must be decoded."""
        return None

    def decode(self, payload: Payload, start: int, stop: int, out: Array) -> list[ItemFailure]:
        """Decode one video after the other."""
        from fabric.codecs.movies import CorruptVideo, decode_frames  # PyAV is needed only where models run

        order = [self.entry["layout"].index(axis) for axis in "thwc"]
        failures = []
        for row, data in enumerate(items_of(payload, start, stop)):
            target = out[row].transpose(order)
            try:
                for index, pixels in decode_frames(data, self.entry["frames"], self.entry["every"], self.entry["resize"]):
                    self.affine.write(pixels[:, :, ::-1] if self.entry["color"] == "bgr" else pixels, target[index])
            except CorruptVideo as error:
                failures.append(ItemFailure(start + row, error.code, str(error)))
        return failures


def _affine_of(entry: Mapping[str, Any], spec: Mapping[str, Any]) -> Affine:
    # Computed on height × width × channels, whatever the layout.
    return Affine.of(entry, numpy_dtype(spec["dtype"]), (1, 1, -1))
