"""The Ray actor of one slot: the few methods that the dispatcher may call, bytes in and bytes out.

Whoever creates it decorates the class (`ray.remote(concurrency_groups={"ping": 2}, …)(ProviderActor)`) and calls `ping` and
`cancel` in a concurrency group of their own, so that they answer while orders run. Concurrency groups have event loops, hence
threads, of their own: everything shared here is safe to use from several threads. No method raises: errors are data.
"""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fabric.actors.cancellation import Cancellation
from fabric.actors.execute import TIMEOUT, Prepared, prepare_order, run_prepared
from fabric.actors.house import house_of
from fabric.actors.kept_models import KeptModels
from fabric.actors.messages import (
    DETAIL_CHARACTERS_MAX,
    RECEIPT_BYTES_MAX,
    BadFrame,
    Order,
    Pong,
    Receipt,
    decode_cancel,
    decode_order,
    encode_pong,
    encode_receipt,
)
from fabric.actors.sessions import SessionCache
from fabric.actors.transfer import Transfer
from fabric.sandbox.devices import Device

ORDERS_MAX = 16  # outstanding; more is a mistake of the sender and would only fill the owner's memory
_NO_ORDER = bytes(16)


class ProviderActor:
    """One slot of one provider: runs one order at a time and prepares the next ones meanwhile."""

    def __init__(
        self, execution_provider: str, threads: int, memory_bytes: int | None = None, device_id: str = "",
        device_bytes: int | None = None, home: Path | None = None,
    ):  # fmt: skip
        """Compute with ONNX Runtime's `execution_provider` on `threads` CPU threads, in so much of the machine's memory and of the
        device's own. In `home` (None: this user's) lie the rules of the house, if there are any.
        """
        self._house = house = house_of(home or Path.home())
        kept = KeptModels(house.models, house.disk_bytes) if house.models and house.disk_bytes else None
        device = Device(device_id, device_bytes)
        memory_bytes = house.memory_of(memory_bytes)
        self._sessions = SessionCache(execution_provider, threads, memory_bytes=memory_bytes, device=device, kept=kept)
        self._transfer = Transfer(bytes_per_s=house.bytes_per_s)
        self._preparing = ThreadPoolExecutor(2, thread_name_prefix="prepare")
        # A single thread is the lock: orders run one after the other, in the order in which they were prepared.
        self._running = ThreadPoolExecutor(1, thread_name_prefix="run")
        self._lock = threading.Lock()
        self._orders: dict[bytes, Cancellation] = {}
        self._busy_s = 0.0

    async def run(self, frame: bytes) -> bytes:
        """An order frame in, a receipt frame out."""
        try:
            order = decode_order(frame)
        except BadFrame as error:
            return encode_receipt(_order_failed(_NO_ORDER, "bad_frame", str(error)))
        cancellation = Cancellation()
        with self._lock:
            if order.id in self._orders or len(self._orders) >= ORDERS_MAX:
                return encode_receipt(_order_failed(order.id, "refused", "this order, or too many others, are outstanding"))
            self._orders[order.id] = cancellation
        timer = asyncio.get_running_loop().call_later(order.timeout_s, cancellation.cancel, TIMEOUT)
        try:
            return await self._receipt(order, cancellation)
        except asyncio.CancelledError:
            cancellation.cancel()
            raise
        except Exception as error:
            return encode_receipt(_order_failed(order.id, "actor_failed", f"{type(error).__name__}: {error}"))
        finally:
            timer.cancel()
            with self._lock:
                self._orders.pop(order.id, None)

    async def ping(self, _frame: bytes = b"") -> bytes:
        """A pong frame out, whatever goes on."""
        with self._lock:
            return encode_pong(Pong(tuple(self._orders), self._sessions.loaded, self._busy_s))

    async def cancel(self, frame: bytes) -> bytes:
        """Give up the orders named in a cancel frame; answers with a pong frame. Unknown orders are nothing."""
        try:
            order_ids = decode_cancel(frame)
        except BadFrame:
            order_ids = []
        with self._lock:
            wishes = [self._orders[order_id] for order_id in order_ids if order_id in self._orders]
        for cancellation in wishes:
            cancellation.cancel()
        return await self.ping()

    def close(self) -> None:
        """Give up everything. Ray ends the process instead; tests and in-memory fleets call it."""
        with self._lock:
            outstanding = list(self._orders.values())
        for cancellation in outstanding:
            cancellation.cancel()
        self._preparing.shutdown(wait=True)
        self._running.shutdown(wait=True)
        self._transfer.close()
        self._sessions.close()

    async def _receipt(self, order: Order, cancellation: Cancellation) -> bytes:
        loop = asyncio.get_running_loop()
        prepared = await loop.run_in_executor(self._preparing, self._prepare, order, cancellation)
        if isinstance(prepared, Receipt):
            return encode_receipt(prepared)
        return await loop.run_in_executor(self._running, self._run, prepared)

    def _prepare(self, order: Order, cancellation: Cancellation) -> Prepared | Receipt:
        prepared = prepare_order(order, self._sessions, self._transfer, cancellation)
        if isinstance(prepared, Receipt):
            self._house.note(order, prepared)
        return prepared

    def _run(self, prepared: Prepared) -> bytes:
        started = time.perf_counter()
        receipt = run_prepared(prepared, self._transfer)
        self._house.note(prepared.order, receipt)
        busy_s = time.perf_counter() - started
        with self._lock:
            self._busy_s += busy_s
        frame = encode_receipt(receipt)
        if len(frame) > RECEIPT_BYTES_MAX:
            return encode_receipt(_order_failed(receipt.order_id, "receipt_too_large", f"{len(frame)} bytes"))
        return frame


def _order_failed(order_id: bytes, code: str, detail: str) -> Receipt:
    return Receipt(order_id, (), 0, 0, code, detail[:DETAIL_CHARACTERS_MAX])
