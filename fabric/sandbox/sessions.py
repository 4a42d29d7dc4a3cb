"""ONNX Runtime sessions of one slot: loaded by content hash on its own device and threads, evicted when the parent says so."""

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np
import onnxruntime

from fabric.codecs.assets import assets_in
from fabric.codecs.base import Array, BatchDecoder, Decoder
from fabric.sandbox.batch_size import BatchSize
from fabric.sandbox.devices import ANY_DEVICE, CPU, USES, Device, Use, providers_of
from fabric.sandbox.stop import Stop
from fabric.sandbox.tensors import BoundCrossing, Crossing

_LOG_ERRORS_ONLY = 3
_NO_MEMORY = (
    "bad_alloc", "allocate memory", "out of memory",  # the processor's, and most drivers'
    "smaller than requested bytes",  # an arena at its limit
    "alloc_failed",  # CUBLAS_STATUS_ and CUDNN_STATUS_
    "e_outofmemory",  # DirectML
)  # fmt: skip

onnxruntime.disable_telemetry_events()


class LoadFailed(Exception):
    """The model cannot be run here. `code` is model_unloadable, execution_provider_missing or memory_limit."""

    def __init__(self, code: str, detail: str):
        self.code = code
        super().__init__(detail)


class LoadedModel:
    """One session, the batch size that suits it, and buffers that its runs use again and again."""

    def __init__(self, session: onnxruntime.InferenceSession, items_max: int, memory: str = ""):
        """Own `session`; `memory` names the device's memory where inputs and outputs are bound to it."""
        self.session = session
        self.assets = assets_in(session.get_modelmeta().custom_metadata_map)
        self._crossing: Crossing | BoundCrossing = Crossing(session)
        if memory and BoundCrossing.suits(session):
            self._crossing = BoundCrossing(session, memory)
        self.batch = BatchSize(items_max)
        self._buffers: dict[str, Array] = {}
        self._specs: object = None
        self._decoders: dict[str, Decoder | BatchDecoder] = {}

    def decoders(
        self, specs: object, compiled: Callable[[], dict[str, Decoder | BatchDecoder]]
    ) -> dict[str, Decoder | BatchDecoder]:
        """The decoders of the model's inputs, compiled again only when a job's card differs from the last one's."""
        if specs != self._specs:
            self._decoders = compiled()
            self._specs = specs
        return self._decoders

    def buffer(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Room for one batch of input `name`. Its content lasts until the next call for the same input."""
        present = self._buffers.get(name)
        if present is None or present.shape[1:] != shape[1:] or present.dtype != dtype or len(present) < shape[0]:
            present = self._buffers[name] = np.empty(shape, dtype)
        return present[: shape[0]]

    def run(
        self, outputs: Sequence[str], feeds: dict[str, Array], options: onnxruntime.RunOptions, constant: Collection[str] = ()
    ) -> list[Any]:
        """One run; the arrays of `constant` inputs are the same ones until others come. Raises whatever ONNX Runtime raises."""
        return self._crossing.run(outputs, feeds, options, constant)


class Sessions:
    """The sessions of one slot. Safe to use from several threads; one at a time loads."""

    def __init__(self, execution_provider: str, threads: int, device: Device = ANY_DEVICE):
        """Sessions run on this device by `execution_provider`, with `threads` CPU threads each."""
        self._execution_provider = execution_provider
        self._device = device
        self._use = USES.get(execution_provider, Use())
        self._threads = threads
        self._lock = threading.Lock()
        self._models: dict[str, LoadedModel] = {}

    @property
    def loaded(self) -> tuple[str, ...]:
        """The hashes of the models that are loaded."""
        with self._lock:
            return tuple(self._models)

    def get(self, sha256: str) -> LoadedModel | None:
        """The model when it is loaded."""
        with self._lock:
            return self._models.get(sha256)

    def load(self, sha256: str, content: bytes, items_max: int, stop: Stop) -> None:
        """Make the model's session.

        Raises:
            LoadFailed: ONNX Runtime refuses it, or there is not enough memory for it even alone.
            Stopped: the wish came first.
        """
        try:
            session = self._session(content, stop)
        except LoadFailed as error:
            if error.code != "memory_limit" or not self.evict_but(None):
                raise
            session = self._session(content, stop)
        # On the processor itself a binding saves nothing: the session reads the array where it lies.
        memory = "" if self._execution_provider == CPU else self._use.memory
        loaded = LoadedModel(session, items_max, memory)
        with self._lock:
            self._models[sha256] = loaded

    def evict(self, hashes: Iterable[str]) -> None:
        """Those are wanted no more. A session lives on until the run that uses it has ended."""
        with self._lock:
            for sha256 in hashes:
                self._models.pop(sha256, None)

    def evict_but(self, sha256: str | None) -> bool:
        """Make room: keep only this one. False when there was no other."""
        with self._lock:
            others = [key for key in self._models if key != sha256]
            for key in others:
                del self._models[key]
            return bool(others)

    def _options(self) -> onnxruntime.SessionOptions:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = _LOG_ERRORS_ONLY
        options.enable_mem_pattern = self._use.patterns
        # Waiting threads sleep: the cores belong to the machine's owner and to the other slots.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        return options

    def _session(self, content: bytes, stop: Stop) -> onnxruntime.InferenceSession:
        if self._execution_provider not in onnxruntime.get_available_providers():
            raise LoadFailed("execution_provider_missing", f"{self._execution_provider} is not installed here")
        if hasattr(onnxruntime, "preload_dlls") and self._use.variable == "CUDA_VISIBLE_DEVICES":
            onnxruntime.preload_dlls()  # CUDA's libraries may have come as packages, where no linker looks
        available = onnxruntime.get_available_providers()
        providers = [one for one in providers_of(self._execution_provider, self._device) if one[0] in available]
        options = self._options()
        stop.ends(lambda: options.set_load_cancellation_flag(True))
        try:
            session = onnxruntime.InferenceSession(content, options, providers=providers)
        except Exception as error:
            stop.check()
            raise LoadFailed("memory_limit" if is_memory_error(error) else "model_unloadable", str(error)) from error
        session.disable_fallback()
        if self._execution_provider not in session.get_providers():
            raise LoadFailed("execution_provider_missing", f"{self._execution_provider} could not be used for this model")
        return session


def is_memory_error(error: Exception) -> bool:
    """True for the many ways in which NumPy and ONNX Runtime say that no memory is left."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(said in text for said in _NO_MEMORY)
