"""The models of one slot: fetched, checked against their hash, and loaded in the slot's runner.

A model is fetched into memory and given to the runner, which has no network; nothing of it is left on the owner's disk, however
the actor ends, unless the owner lets models be kept there.
"""

import threading
import time

from fabric.actors.cancellation import Cancellation
from fabric.actors.kept_models import KeptModels
from fabric.actors.messages import ModelRef
from fabric.actors.transfer import Transfer, TransferFailed
from fabric.sandbox.devices import ANY_DEVICE, Device
from fabric.sandbox.life import Lost
from fabric.sandbox.process import MODELS_BYTES_MAX, LoadRefused, Runner

CPU = "CPUExecutionProvider"


class LoadFailed(Exception):
    """The model cannot be run here. `code` is model_unloadable, execution_provider_missing, memory_limit, or what ended the runner."""

    def __init__(self, code: str, detail: str):
        self.code = code
        super().__init__(detail)


class SessionCache:
    """The models that the runner of one slot holds. Safe to use from several threads; two orders for one new model load it once."""

    def __init__(
        self, execution_provider: str, threads: int, bytes_max: int = MODELS_BYTES_MAX, memory_bytes: int | None = None,
        device: Device = ANY_DEVICE, kept: KeptModels | None = None,
    ):  # fmt: skip
        """Models run on `device` by `execution_provider` with `threads` CPU threads each, in `memory_bytes` together. Starts a runner
        ahead.
        """
        self._kept = kept
        self.runner = Runner(execution_provider, threads, memory_bytes=memory_bytes, device=device, models_bytes_max=bytes_max)
        self._loading = threading.Lock()

    @property
    def loaded(self) -> tuple[str, ...]:
        """The hashes of the models that are loaded, least recently used first."""
        return self.runner.loaded

    def load(self, model: ModelRef, transfer: Transfer, cancellation: Cancellation) -> int:
        """See that the model is loaded; the microseconds that fetching and loading took (0 when it was there).

        Raises:
            TransferFailed: its bytes cannot be had, or are others.
            LoadFailed: ONNX Runtime refuses it, or it ended the runner.
            Cancelled: the wish came first.
        """
        if self.runner.use(model.sha256):
            return 0
        with self._loading:
            if self.runner.use(model.sha256):
                return 0
            started_ns = time.perf_counter_ns()
            self._load(model, transfer, cancellation)
            return max(1, (time.perf_counter_ns() - started_ns) // 1000)

    def close(self) -> None:
        """End the runner."""
        self.runner.close()

    def _load(self, model: ModelRef, transfer: Transfer, cancellation: Cancellation) -> None:
        try:
            block = self.runner.blocks.take(model.size)
        except (OSError, MemoryError, OverflowError, ValueError) as error:
            raise TransferFailed("fetch_refused", f"there is no room for {model.size} bytes") from error
        try:
            self._fill(block.view[: model.size], model, transfer, cancellation)
            self.runner.load(model.sha256, block, model.size, model.batch_items_max, cancellation)
        except LoadRefused as error:
            raise LoadFailed(error.code, str(error)) from error
        except Lost as error:
            cancellation.check()
            raise LoadFailed(error.code, str(error)) from error
        finally:
            self.runner.give_back(block)

    def _fill(self, view: memoryview, model: ModelRef, transfer: Transfer, cancellation: Cancellation) -> None:
        if self._kept is not None and self._kept.read(model.sha256, view):
            return
        transfer.fetch_object(model.url, model.size, model.sha256, cancellation, view)
        if self._kept is not None:
            self._kept.keep(model.sha256, view)
