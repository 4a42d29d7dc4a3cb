"""A model's output as image files: PNG or JPEG, one for each item."""

from typing import Any

import numpy as np

from fabric.codecs.base import refuse_unknown_keys
from fabric.codecs.steps import Around, Array, BadOutput, Entry, Spec, Step, integer
from fabric.codecs.texts import BYTES, VARIABLE, array_of, numpy_dtype
from fabric.core.errors import Invalid

FORMATS = {"png": "image/png", "jpeg": "image/jpeg"}
LAYOUTS = ("nchw", "nhwc", "nhw")
PIXELS_MAX = 50_000_000  # of one image
_KEYS = frozenset({"do", "format", "layout", "scale", "offset", "quality"})


def _complete(entry: Entry, spec: Spec, around: Around) -> tuple[Entry, Spec]:
    refuse_unknown_keys(entry, _KEYS)
    if spec["dtype"] in VARIABLE:
        raise Invalid("needs numbers.")
    is_float = numpy_dtype(spec["dtype"]).kind == "f"
    form, layout = entry.get("format", "png"), entry.get("layout", "nchw")
    if form not in FORMATS or layout not in LAYOUTS:
        raise Invalid(f"`format` must be one of {', '.join(FORMATS)}, `layout` one of {', '.join(LAYOUTS)}.")
    scale, offset = (_finite(key, entry.get(key, default)) for key, default in (("scale", 255 if is_float else 1), ("offset", 0)))
    if len(spec["shape"]) != len(layout):
        raise Invalid(f"`layout` {layout} has {len(layout)} axes, the output {len(spec['shape'])}.")
    channels = 1 if layout == "nhw" else spec["shape"][layout.index("c")]
    if isinstance(channels, int) and channels not in ({1, 3, 4} if form == "png" else {1, 3}):
        raise Invalid(f"a {form.upper()} cannot have {channels} channels.")
    completed = {"do": "image", "format": form, "layout": layout, "scale": scale, "offset": offset}
    completed["quality"] = integer(entry, "quality", 90, 1, 100)
    return completed, {"dtype": BYTES, "shape": [None], "media_type": FORMATS[form]}


def _apply(values: Array, entry: Entry, around: Around) -> Array:
    from fabric.codecs.pictures import encode_picture  # Pillow is needed only where models run

    if values.ndim != len(entry["layout"]):
        raise BadOutput(f"shape {list(values.shape)} where {entry['layout']} is declared")
    files = []
    for item in values:
        pixels = item.transpose(1, 2, 0) if entry["layout"] == "nchw" else item
        if not pixels.size or pixels.shape[0] * pixels.shape[1] > PIXELS_MAX:
            raise BadOutput(f"an image of {list(pixels.shape)}; at most {PIXELS_MAX} pixels, and not none")
        shades = np.nan_to_num(pixels.astype(np.float32) * entry["scale"] + entry["offset"])
        content = np.clip(np.rint(shades), 0, 255).astype(np.uint8)
        if content.ndim == 3 and content.shape[2] == 1:
            content = content[:, :, 0]
        files.append(encode_picture(np.ascontiguousarray(content), entry["format"], entry["quality"]))
    return array_of(files, (len(files),))


def _finite(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise Invalid(f"`{key}` must be a finite number.")
    return float(value)


IMAGE = Step(_complete, _apply)
