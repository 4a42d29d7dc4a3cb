"""Sound files to samples of one channel at the rate that the card declares."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fabric.codecs.base import NO_ASSETS, Array, Assets, Buffer, ItemFailure, Payload, refuse_unknown_keys
from fabric.codecs.containers import RATE_MAX, RATE_MIN, SECONDS_MAX
from fabric.codecs.strings import check_sizes
from fabric.codecs.texts import VARIABLE, numpy_dtype
from fabric.core.errors import Invalid

FIELDS = ("samples", "mask", "length")
_LAYOUTS = ("flat", "channel")
_ENTRY_KEYS = frozenset({"codec", "rate", "seconds", "layout", "normalize", "description"})


class AudioCodec:
    """`{"codec": "audio", "rate": samples a second, "seconds": number | null, "layout": "flat" | "channel", "normalize": false}`.

    A file (WAV, or FLAC, MP3, Ogg, M4A) gives `samples` from -1 to 1, mixed to one channel and resampled; with `normalize` of mean 0
    and deviation 1. Longer ones are cut, shorter ones filled with silence: to the model's own length, else to `seconds`, else to
    the longest of the batch. Derived inputs may take `mask` (1 where there is sound) and `length` (samples).
    """

    name = "audio"
    encoding = "audio"
    fields: tuple[str, ...] = FIELDS

    def complete_entry(self, entry: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
        """Fill in the defaults; the rate is 16000 unless given.

        Raises:
            Invalid: the entry cannot feed such an input.
        """
        refuse_unknown_keys(entry, _ENTRY_KEYS)
        if spec["dtype"] in VARIABLE or numpy_dtype(spec["dtype"]).kind != "f":
            raise Invalid(f"samples need a floating input, not {spec['dtype']}.")
        rate, layout = entry.get("rate", 16_000), entry.get("layout", "flat" if len(spec["shape"]) == 2 else "channel")
        if type(rate) is not int or not RATE_MIN <= rate <= RATE_MAX:
            raise Invalid(f"`rate` must be a whole number from {RATE_MIN} to {RATE_MAX}.")
        if layout not in _LAYOUTS or not isinstance(entry.get("normalize", False), bool):
            raise Invalid(f"`layout` must be one of {', '.join(_LAYOUTS)}, `normalize` true or false.")
        shape = list(spec["shape"])[1:]
        if len(shape) != 1 + (layout == "channel") or (layout == "channel" and shape[0] not in {None, 1}):
            raise Invalid("samples need an input of items × samples, or with `layout` channel of items × 1 × samples.")
        seconds = entry.get("seconds")
        if seconds is not None and (type(seconds) not in {int, float} or not 0 < seconds <= SECONDS_MAX):
            raise Invalid(f"`seconds` must be more than 0 and at most {SECONDS_MAX:g}.")
        if seconds is not None and shape[-1] not in {None, round(seconds * rate)}:
            raise Invalid(f"{seconds} s at {rate} Hz are {round(seconds * rate)} samples; the model takes {shape[-1]}.")
        return {
            "codec": self.name, "rate": rate, "seconds": None if seconds is None else float(seconds), "layout": layout,
            "normalize": entry.get("normalize", False),
        }  # fmt: skip

    def decoder(self, entry: Mapping[str, Any], spec: Mapping[str, Any], assets: Assets = NO_ASSETS) -> "AudioDecoder":
        """Compile a completed entry."""
        fixed = spec["shape"][-1]
        if fixed is None and entry["seconds"] is not None:
            fixed = round(entry["seconds"] * entry["rate"])
        return AudioDecoder(entry, fixed)


class AudioDecoder:
    """Sound files to samples."""

    fields: tuple[str, ...] = FIELDS

    def __init__(self, entry: Mapping[str, Any], fixed: int | None):
        """`fixed`: samples of every item; None: as many as the longest of a batch has."""
        self._entry = entry
        self._fixed = fixed

    def check(self, payload: Payload) -> None:
        """Raises BadPayload: sizes that do not add up."""
        check_sizes(payload, "sounds")

    def decode_batch(self, items: Sequence[Buffer]) -> tuple[dict[str, Array], list[ItemFailure]]:
        """Samples, mask and length of all items, filled up alike."""
        from fabric.codecs.sounds import CorruptSound, decode_sound  # PyAV is needed only where models run

        failures: list[ItemFailure] = []
        sounds: list[Array] = []
        for index, item in enumerate(items):
            try:
                sounds.append(decode_sound(item, self._entry["rate"]))
            except CorruptSound as error:
                failures.append(ItemFailure(index, error.code, str(error)))
                sounds.append(np.zeros(1, np.float32))
        width = self._fixed or max(map(len, sounds), default=1)
        samples, mask = np.zeros((len(items), width), np.float32), np.zeros((len(items), width), np.int64)
        length = np.zeros(len(items), np.int64)
        for row, sound in enumerate(sounds):
            cut = sound[:width]
            if self._entry["normalize"]:
                cut = (cut - cut.mean()) / np.sqrt(cut.var() + 1e-7)
            samples[row, : len(cut)], mask[row, : len(cut)], length[row] = cut, 1, len(cut)
        shaped = samples[:, None] if self._entry["layout"] == "channel" else samples
        return {"samples": shaped, "mask": mask, "length": length}, failures
