"""ONNX Runtime sessions: loaded by content hash on the slot's own device and threads, evicted when too many bytes are held.

A model is fetched into memory, checked against its hash and given to ONNX Runtime; nothing of it is left on the owner's disk,
however the actor ends.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime

from fabric.actors.batch_size import BatchSize
from fabric.actors.cancellation import Cancellation
from fabric.actors.messages import ModelRef
from fabric.actors.transfer import Transfer
from fabric.codecs.base import Array

SESSION_BYTES_MAX = 4 * 1024**3  # of model files held at once by one slot
CPU = "CPUExecutionProvider"
_LOG_ERRORS_ONLY = 3

onnxruntime.disable_telemetry_events()


class LoadFailed(Exception):
    """The model cannot be run here. `code` is model_unloadable or execution_provider_missing."""

    def __init__(self, code: str, detail: str):
        self.code = code
        super().__init__(detail)


class LoadedModel:
    """One session, the batch size that suits it, and buffers that its runs use again and again."""

    def __init__(self, session: onnxruntime.InferenceSession, size: int, items_max: int):
        """Own `session`, made from `size` bytes."""
        self.session = session
        self.size = size
        self.batch = BatchSize(items_max)
        self._buffers: dict[str, Array] = {}

    def buffer(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Room for one batch of input `name`. Its content lasts until the next call for the same input."""
        present = self._buffers.get(name)
        if present is None or present.shape[1:] != shape[1:] or present.dtype != dtype or len(present) < shape[0]:
            present = self._buffers[name] = np.empty(shape, dtype)
        return present[: shape[0]]

    def run(self, outputs: Sequence[str], feeds: dict[str, Array], options: onnxruntime.RunOptions) -> list[Any]:
        """One run. Raises whatever ONNX Runtime raises."""
        return list(self.session.run(outputs, feeds, options))


class SessionCache:
    """The sessions of one slot. Safe to use from several threads; two orders for one new model load it once."""

    def __init__(self, execution_provider: str, threads: int, bytes_max: int = SESSION_BYTES_MAX):
        """Sessions run on `execution_provider` with `threads` CPU threads each."""
        self._execution_provider = execution_provider
        self._threads = threads
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._models: OrderedDict[str, LoadedModel] = OrderedDict()

    @property
    def loaded(self) -> tuple[str, ...]:
        """The hashes of the models that are loaded, least recently used first."""
        with self._lock:
            return tuple(self._models)

    def get(self, model: ModelRef, transfer: Transfer, cancellation: Cancellation) -> tuple[LoadedModel, int]:
        """The model's session, and the microseconds that fetching and loading took (0 when it was there).

        Raises:
            TransferFailed: its bytes cannot be had, or are others.
            LoadFailed: ONNX Runtime refuses it.
            Cancelled: the wish came first.
        """
        if present := self._present(model.sha256):
            return present, 0
        with self._loading:
            if present := self._present(model.sha256):
                return present, 0
            started_ns = time.perf_counter_ns()
            content = transfer.fetch_object(model.url, model.size, model.sha256, cancellation)
            self._make_room(model.size)
            loaded = LoadedModel(self._session(content, cancellation), model.size, model.batch_items_max)
            with self._lock:
                self._models[model.sha256] = loaded
            return loaded, (time.perf_counter_ns() - started_ns) // 1000

    def _present(self, sha256: str) -> LoadedModel | None:
        with self._lock:
            if found := self._models.get(sha256):
                self._models.move_to_end(sha256)
            return found

    def _make_room(self, wanted: int) -> None:
        # An evicted session lives on until the order that is running it has ended.
        with self._lock:
            while self._models and sum(m.size for m in self._models.values()) + wanted > self._bytes_max:
                self._models.popitem(last=False)

    def _options(self) -> onnxruntime.SessionOptions:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = _LOG_ERRORS_ONLY
        # Waiting threads sleep: the cores belong to the machine's owner and to the other slots.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        return options

    def _session(self, content: bytes, cancellation: Cancellation) -> onnxruntime.InferenceSession:
        if self._execution_provider not in onnxruntime.get_available_providers():
            raise LoadFailed("execution_provider_missing", f"{self._execution_provider} is not installed here")
        providers = list(dict.fromkeys([self._execution_provider, CPU]))
        options = self._options()
        cancellation.stops(_Load(options))
        try:
            session = onnxruntime.InferenceSession(content, options, providers=providers)
        except Exception as error:
            cancellation.check()
            raise LoadFailed("model_unloadable", str(error)) from error
        session.disable_fallback()
        if self._execution_provider not in session.get_providers():
            raise LoadFailed("execution_provider_missing", f"{self._execution_provider} could not be used for this model")
        return session


class _Load:
    """A load under way, in the shape of a run that can be ended."""

    def __init__(self, options: onnxruntime.SessionOptions):
        self._options = options

    @property
    def terminate(self) -> bool:
        return False

    @terminate.setter
    def terminate(self, value: bool) -> None:
        self._options.set_load_cancellation_flag(value)
