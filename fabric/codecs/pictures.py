"""Image files to pixels and back, by Pillow; imported only where models run.

An image is a stranger's: only the formats below are opened, their size is checked before a pixel is decoded, and whatever the
decoder says about a damaged file fails that one item.
"""

import io
from math import prod

import numpy as np
from PIL import Image, ImageOps

from fabric.codecs.base import Array, Buffer

PIXELS_MAX = 50_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


class CorruptImage(ValueError):
    """This image cannot be used; `code` is corrupt_image, image_too_large or wrong_image_size."""

    def __init__(self, code: str, detail: str):
        self.code = code
        super().__init__(detail)


def decode_pixels(data: Buffer, color: str = "rgb", resize: list[int] | None = None) -> Array:
    """An image file as uint8 height × width × channels, turned as its EXIF says, resized to `[h, w]` when given.

    Of a moving picture the first frame.

    Raises:
        CorruptImage: it cannot be decoded, or has more than PIXELS_MAX pixels.
    """
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
        if not 0 < prod(image.size) <= PIXELS_MAX:
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
        known = ", ".join(FORMATS)
        raise CorruptImage("corrupt_image", f"not a readable {known} ({type(error).__name__})") from error
    pixels = np.asarray(image)
    if color == "gray":
        return pixels[:, :, None]
    return pixels[:, :, ::-1] if color == "bgr" else pixels


def encode_picture(pixels: Array, form: str, quality: int = 90) -> bytes:
    """An image file, `png` or `jpeg`, of uint8 pixels: height × width for gray, height × width × 3 for RGB, × 4 with opacity."""
    buffer = io.BytesIO()
    options = {"quality": quality} if form == "jpeg" else {}
    Image.fromarray(pixels).save(buffer, format=form.upper(), **options)
    return buffer.getvalue()


def encode_png(pixels: Array) -> bytes:
    """A PNG of uint8 pixels: height × width for gray, height × width × 3 for RGB."""
    return encode_picture(pixels, "png")


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == mode:
        return image
    if image.mode == "F":
        raise CorruptImage("corrupt_image", "pixels in floating point have no known range")
    if image.mode.startswith("I"):
        # 16-bit gray: Pillow's own conversion clips at 255 instead of scaling.
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # straight to RGB, Pillow warns of every such file
    return image.convert(mode)
