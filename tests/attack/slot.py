"""The owner's side of an attack by a model or an input: a slot with its sandboxed runner, without admission before it."""

import hashlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fabric.actors.cancellation import Cancellation
from fabric.actors.execute import TIMEOUT, run_order
from fabric.actors.messages import ModelRef, Order, Part, Receipt, decode_order, encode_order
from fabric.actors.sessions import CPU, SessionCache
from fabric.actors.transfer import Transfer
from fabric.codecs.frame import decode_frame
from tests.fixtures import onnx_models
from tests.fixtures.orders import Orders, a_subtask

GIB = 1024**3
SAMPLE_S = 0.02


@dataclass
class Result:
    """What came of one order."""

    status: str
    code: str
    detail: str
    seconds: float
    peak_mib: int
    outputs: dict[str, np.ndarray] = field(default_factory=dict)
    item_codes: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        return f"{self.status} {self.code} in {self.seconds:.1f} s, the runner's peak {self.peak_mib} MiB"


class AttackedSlot:
    """One slot in a gigabyte; the model comes straight to it, as if admission had let it through."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self._sessions = SessionCache(CPU, 1, memory_bytes=GIB)
        self._transfer = Transfer(pause_s=0.001)

    def close(self) -> None:
        self._transfer.close()
        self._sessions.close()

    def run(self, content: bytes, *, items: np.ndarray | None = None, outputs: Any = None, timeout_s: float = 10.0) -> Result:
        """Have it run on rows of one number."""
        rows = np.ones((1, 1), np.float32) if items is None else items
        shape = [None, *rows.shape[1:]]
        model = self._model(
            content,
            {"x": {"dtype": "float32", "shape": shape, "codec": None}},
            outputs or {"y": {"dtype": "float32", "shape": shape}},
        )
        return self._ordered(self.orders.order(model, a_subtask("x", *self.orders.rows(rows, inline=True)), timeout_s=timeout_s))

    def decode(self, files: Sequence[bytes], content: bytes, codec: dict[str, Any], timeout_s: float = 20.0) -> Result:
        """Have image files decoded for a model."""
        model = self.orders.model(content, {"image": codec})
        parts: list[Part] = [self.orders.images(files)]
        return self._ordered(self.orders.order(model, a_subtask("image", *parts), timeout_s=timeout_s))

    def still_works(self) -> bool:
        """An honest order on the same slot."""
        ones = np.ones((2, 4), np.float32)
        model = self.orders.model(onnx_models.affine())
        result = self._ordered(self.orders.order(model, a_subtask("x", *self.orders.rows(ones, inline=True))))
        return result.status == "done" and bool((result.outputs["y"] == 3).all())

    def _model(self, content: bytes, inputs: Any, outputs: Any) -> ModelRef:
        self.orders.made += 1
        url = self.orders.http.hold(f"hostile-{self.orders.made}", content)
        return ModelRef(hashlib.sha256(content).hexdigest(), url, len(content), inputs, outputs, True, 8, False)

    def _ordered(self, order: Order) -> Result:
        cancellation, peak, over = Cancellation(), [0], threading.Event()
        watcher = threading.Thread(target=self._watch, args=(peak, over), daemon=True)
        timer = threading.Timer(order.timeout_s, cancellation.cancel, (TIMEOUT,))
        began = time.monotonic()
        watcher.start()
        timer.start()
        receipt = run_order(decode_order(encode_order(order)), self._sessions, self._transfer, cancellation)
        seconds = time.monotonic() - began
        timer.cancel()
        over.set()
        watcher.join()
        return _result(receipt, seconds, peak[0] // 1024**2)

    def _watch(self, peak: list[int], over: threading.Event) -> None:
        while not over.wait(SAMPLE_S):
            life = self._sessions.runner._life
            if life is not None:
                peak[0] = max(peak[0], life.child.memory_bytes())


def _result(receipt: Receipt, seconds: float, peak_mib: int) -> Result:
    if not receipt.subtasks:
        return Result("failed", receipt.error_code, receipt.error_detail, seconds, peak_mib)
    told = receipt.subtasks[0]
    outputs = decode_frame(told.output) if told.output else {}
    codes = tuple(error.code for error in told.item_errors)
    return Result(told.status, told.error_code, told.error_detail, seconds, peak_mib, outputs, codes)
