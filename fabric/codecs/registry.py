"""The codecs by the name that model cards use."""

from fabric.codecs.base import Codec
from fabric.codecs.image import ImageCodec
from fabric.codecs.tensor import TensorCodec
from fabric.core.errors import Invalid

_CODECS: dict[str, Codec] = {codec.name: codec for codec in (TensorCodec(), ImageCodec())}


def codec_named(name: object) -> Codec:
    """The codec of a card's entry.

    Raises:
        Invalid: there is none of that name.
    """
    codec = _CODECS.get(name) if isinstance(name, str) else None
    if codec is None:
        raise Invalid(f"There is no codec {name!r}; there are {', '.join(_CODECS)}.")
    return codec
