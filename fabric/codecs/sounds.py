"""Sound files to samples; imported only where models run. WAV is read here, everything else by PyAV.

A file is a stranger's: what its header claims is held against its bytes before anything is made of it.
"""

import struct
from math import ceil, gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fabric.codecs.base import Array, Buffer
from fabric.codecs.containers import RATE_MAX, RATE_MIN, SECONDS_MAX, Unreadable, opened

CHANNELS_MAX = 16
CHUNKS_MAX = 1000  # of a WAV file
PHASES_MAX = 4096
BLOCK = 16_384  # samples resampled at a time
ZERO_CROSSINGS = 16
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE


class CorruptSound(ValueError):
    """This file cannot be used; `code` is corrupt_audio or audio_too_long."""

    def __init__(self, code: str, detail: str):
        self.code = code
        super().__init__(detail)


def decode_sound(data: Buffer, rate: int) -> "NDArray[np.float32]":
    """A sound file as samples from -1 to 1, mixed to one channel, at `rate` samples a second.

    Raises:
        CorruptSound: it cannot be decoded, or is longer than SECONDS_MAX.
    """
    content = bytes(data)
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        samples, found = read_wav(content)
    else:
        samples, found = _read_other(content)
    if not len(samples):
        raise CorruptSound("corrupt_audio", "no sound in it")
    return resampled(np.nan_to_num(samples), found, rate)


def read_wav(content: bytes) -> tuple[Array, int]:
    """The samples of a WAV file, mixed to one channel, and how many there are a second.

    Raises:
        CorruptSound: truncated, of a kind that is not read here, or too long.
    """
    form: bytes | None = None
    at = 12
    for _ in range(CHUNKS_MAX):
        if at + 8 > len(content):
            break
        name, size = content[at : at + 4], struct.unpack_from("<I", content, at + 4)[0]
        if at + 8 + size > len(content):
            raise CorruptSound("corrupt_audio", f"truncated: a part of {size} bytes where {len(content) - at - 8} are left")
        if name == b"fmt ":
            form = content[at + 8 : at + 8 + size]
        elif name == b"data":
            return _samples_of(form, content[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    raise CorruptSound("corrupt_audio", "a WAV file without sound")


def _samples_of(form: bytes | None, data: bytes) -> tuple[Array, int]:
    if form is None or len(form) < 16:
        raise CorruptSound("corrupt_audio", "a WAV file that does not say its form")
    kind, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", form)
    if kind == _EXTENSIBLE and len(form) >= 26:
        kind = struct.unpack_from("<H", form, 24)[0]
    if not 1 <= channels <= CHANNELS_MAX or not RATE_MIN <= rate <= RATE_MAX or block != channels * bits // 8:
        raise CorruptSound("corrupt_audio", f"{channels} channels of {bits} bits at {rate} Hz")
    if len(data) // block > SECONDS_MAX * rate:
        raise CorruptSound("audio_too_long", f"longer than {SECONDS_MAX:g} s")
    data = data[: len(data) // block * block]
    if kind == _FLOAT and bits in {32, 64}:
        values: Array = np.frombuffer(data, f"<f{bits // 8}").astype(np.float32)
    elif kind == _PCM and bits == 8:
        values = (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    elif kind == _PCM and bits == 24:
        padded = np.zeros((len(data) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        values = padded.view("<i4")[:, 0].astype(np.float32) / 2**31
    elif kind == _PCM and bits in {16, 32}:
        values = np.frombuffer(data, f"<i{bits // 8}").astype(np.float32) / np.float32(2 ** (bits - 1))
    else:
        raise CorruptSound("corrupt_audio", f"a WAV file of kind {kind} with {bits} bits")
    return values.reshape(-1, channels).mean(axis=1), rate


def _read_other(content: bytes) -> tuple[Array, int]:
    try:
        with opened(content, "audio") as (container, library):
            stream = container.streams.audio[0]
            rate = int(stream.codec_context.sample_rate or 0)
            if not RATE_MIN <= rate <= RATE_MAX:
                raise CorruptSound("corrupt_audio", f"{rate} samples a second")
            return _decoded(container, stream, library.AudioResampler(format="fltp"), rate), rate
    except Unreadable as error:
        raise CorruptSound("corrupt_audio", str(error)) from error


def _decoded(container: Any, stream: Any, resampler: Any, rate: int) -> Array:
    pieces: list[Array] = []
    count = 0
    for frame in container.decode(stream):
        if not 1 <= len(frame.layout.channels) <= CHANNELS_MAX:
            raise CorruptSound("corrupt_audio", f"{len(frame.layout.channels)} channels")
        for plain in resampler.resample(frame):
            pieces.append(plain.to_ndarray().mean(axis=0, dtype=np.float32))
            count += len(pieces[-1])
        if count > SECONDS_MAX * rate:
            raise CorruptSound("audio_too_long", f"longer than {SECONDS_MAX:g} s")
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


def resampled(samples: Array, found: int, wanted: int) -> "NDArray[np.float32]":
    """Samples of `found` a second as samples of `wanted` a second, band-limited by a windowed sinc."""
    if found == wanted:
        return samples.astype(np.float32)
    up, down = wanted // gcd(found, wanted), found // gcd(found, wanted)
    cutoff = 0.95 * min(1.0, wanted / found)
    half = ceil(ZERO_CROSSINGS / cutoff)
    phases = min(up, PHASES_MAX)
    offsets = np.arange(-half + 1, half + 1)[None, :] - (np.arange(phases) / phases)[:, None]
    table = cutoff * np.sinc(cutoff * offsets) * (0.5 + 0.5 * np.cos(np.pi * np.clip(offsets / half, -1, 1)))
    table = (table / table.sum(axis=1, keepdims=True)).astype(np.float32)
    padded = np.pad(samples.astype(np.float32), (half - 1, half + 1))
    out = np.empty(max(1, -(-len(samples) * up // down)), np.float32)
    taps = np.arange(2 * half)
    for start in range(0, len(out), BLOCK):
        position = np.arange(start, min(start + BLOCK, len(out)), dtype=np.int64) * down
        first, phase = position // up, (position % up) * phases // up
        out[start : start + BLOCK] = np.einsum("it,it->i", padded[first[:, None] + taps], table[phase])
    return out
