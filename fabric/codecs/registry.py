"""The codecs by the name that model cards use. Their libraries are imported when something is decoded, not before."""

from fabric.codecs.audio import AudioCodec
from fabric.codecs.base import Codec
from fabric.codecs.derived import DerivedCodec
from fabric.codecs.image import ImageCodec
from fabric.codecs.tensor import TensorCodec
from fabric.codecs.text import TextCodec
from fabric.codecs.video import VideoCodec
from fabric.core.errors import Invalid

CODECS: dict[str, Codec] = {
    codec.name: codec
    for codec in (TensorCodec(), ImageCodec(), TextCodec(), AudioCodec(), VideoCodec(), DerivedCodec())
}  # fmt: skip


def codec_named(name: object) -> Codec:
    """The codec of a card's entry.

    Raises:
        Invalid: there is none of that name.
    """
    codec = CODECS.get(name) if isinstance(name, str) else None
    if codec is None:
        raise Invalid(f"There is no codec {str(name)[:80]!r}; there are {', '.join(CODECS)}.")
    return codec
