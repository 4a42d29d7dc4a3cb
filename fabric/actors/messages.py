"""Every message between control plane and provider: Order, Receipt and their parts. Versioned, bytes in, bytes out.

A frame is msgpack of `[VERSION, kind, fields…]`. A receipt is a stranger's data: `decode_receipt` checks every type, count and
size and raises `BadFrame`; nothing is ever unpickled.
"""

import math
from dataclasses import dataclass
from typing import Any

import msgpack

from fabric.codecs import frame as tensor_frame

BadFrame = tensor_frame.BadFrame  # the same for messages and the tensors inside them
VERSION = 1
RECEIPT_BYTES_MAX = 8 * 1024 * 1024  # what rides inside one Ray RPC
DETAIL_CHARACTERS_MAX = 500
SUBTASKS_MAX = 4096
ITEM_ERRORS_MAX = 100_000
HEADER_BYTES_MAX = tensor_frame.HEADER_BYTES_MAX + 16
PONG_ORDERS_MAX = 64
PONG_MODELS_MAX = 4096


@dataclass(frozen=True, slots=True)
class ModelRef:
    """Which model to run and where its bytes are."""

    sha256: str  # hex; the session cache's key
    url: str  # signed GET
    size: int
    inputs: dict[
        str, dict[str, Any]
    ]  # name -> {"dtype": numpy name, "shape": [int | None …], item axis first, "codec": card entry}
    outputs: dict[str, dict[str, Any]]  # name -> {"dtype", "shape"}
    batchable: bool
    batch_items_max: int  # items of one run(); 1 when not batchable; the fixed size when the batch axis is fixed
    batch_fixed: bool  # the axis is fixed: the last batch is padded


@dataclass(frozen=True, slots=True)
class Part:
    """A run of consecutive items of one input. Exactly one of `data` and `url` is set.

    Parts of one order may share a URL: it is then signed for exactly the range from the first of these parts to the end of the
    last one, or for the whole object. The slot fetches that range once, unless more than half of it is unused.
    """

    item_count: int
    encoding: str  # "rows": C-order little-endian rows of dtype and shape; "strings": texts; "image", "audio", "video": files
    data: bytes | None = None
    url: str | None = None  # signed GET
    offset: int = 0  # bytes into the object
    length: int = 0
    dtype: str = ""  # of stored rows; "string"
    shape: tuple[int, ...] = ()  # rows and texts: of one item
    sizes: tuple[int, ...] = ()  # texts and files: bytes of each item, one after another


@dataclass(frozen=True, slots=True)
class InputOrder:
    """The items of one model input for one subtask, in order. A broadcast input is one item, given whole to every run."""

    name: str
    parts: tuple[Part, ...]
    broadcast: bool = False


@dataclass(frozen=True, slots=True)
class SubtaskOrder:
    """One subtask under one lease."""

    id: bytes  # 16
    fence: int
    item_count: int
    inputs: tuple[InputOrder, ...]
    output_url: str | None = None  # signed PUT for an output that is too large to ride along


@dataclass(frozen=True, slots=True)
class Order:
    """Subtasks of one model for one slot."""

    id: bytes  # 16
    model: ModelRef
    subtasks: tuple[SubtaskOrder, ...]
    inline_output_bytes_max: int
    timeout_s: float


@dataclass(frozen=True, slots=True)
class ItemError:
    """An item that could not be used; its neighbours are delivered."""

    index: int  # within the subtask
    code: str  # such as corrupt_image
    detail: str


@dataclass(frozen=True, slots=True)
class SubtaskReceipt:
    """What became of one subtask. `output` (a tensor frame) or, when it was uploaded, its size and hash."""

    id: bytes
    fence: int
    status: str  # "done", "failed" (retrying may help), "refused" (it never will) or "cancelled"
    run_us: int  # decode + run + encode on the slot, without fetching and loading; 0 unless done
    output: bytes | None = None
    output_header: bytes | None = None  # of an uploaded frame
    output_size: int = 0
    output_sha256: bytes | None = None
    item_errors: tuple[ItemError, ...] = ()
    error_code: str = ""
    error_detail: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to one order."""

    order_id: bytes
    subtasks: tuple[SubtaskReceipt, ...]
    load_us: int  # model fetched and session made, not billed
    fetch_us: int
    error_code: str = ""  # the whole order failed before any subtask ran
    error_detail: str = ""


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a ping: which orders the slot holds and which models are loaded."""

    order_ids: tuple[bytes, ...]
    models: tuple[str, ...]
    busy_s: float  # spent running since the actor began


def encode_order(order: Order) -> bytes:
    """One order as a frame."""
    model = order.model
    urls: dict[str, int] = {}  # each is written once: hundreds of parts share one of some hundred bytes
    subtasks = [[s.id, s.fence, s.item_count, [_input_fields(i, urls) for i in s.inputs], s.output_url] for s in order.subtasks]
    return _pack("order", [
        order.id,
        [model.sha256, model.url, model.size, model.inputs, model.outputs, model.batchable, model.batch_items_max, model.batch_fixed],
        list(urls),
        subtasks,
        order.inline_output_bytes_max,
        order.timeout_s,
    ])  # fmt: skip


def decode_order(frame: bytes) -> Order:
    """Read an order.

    Raises:
        BadFrame: another version, or not an order.
    """
    try:
        order_id, model, urls, subtasks, inline_max, timeout_s = _unpack(frame, "order")
        return Order(
            _bytes(order_id, 16),
            ModelRef(*model),
            tuple(SubtaskOrder(i, f, n, tuple(_input_of(x, urls) for x in inputs), url) for i, f, n, inputs, url in subtasks),
            _count(inline_max),
            float(timeout_s),
        )
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise BadFrame(f"not an order: {error}") from error


def encode_receipt(receipt: Receipt) -> bytes:
    """One receipt as a frame."""
    return _pack("receipt", [
        receipt.order_id,
        [[s.id, s.fence, s.status, s.run_us, s.output, s.output_header, s.output_size, s.output_sha256,
          [[e.index, e.code, e.detail] for e in s.item_errors], s.error_code, s.error_detail] for s in receipt.subtasks],
        receipt.load_us, receipt.fetch_us, receipt.error_code, receipt.error_detail,
    ])  # fmt: skip


def decode_receipt(frame: bytes) -> Receipt:
    """Read a receipt that a stranger wrote.

    Raises:
        BadFrame: anything in it has another type, sign or size than a receipt may have.
    """
    try:
        order_id, subtasks, load_us, fetch_us, code, detail = _unpack(frame, "receipt")
        _check(len(subtasks) <= SUBTASKS_MAX, "too many subtasks")
        return Receipt(
            _bytes(order_id, 16), tuple(_subtask_receipt_of(s) for s in subtasks),
            _count(load_us), _count(fetch_us), _text(code), _text(detail),
        )  # fmt: skip
    except (ValueError, TypeError) as error:
        raise BadFrame(f"not a receipt: {error}") from error


def encode_cancel(order_ids: list[bytes]) -> bytes:
    """Ask a slot to give up orders."""
    return _pack("cancel", [order_ids])


def decode_cancel(frame: bytes) -> list[bytes]:
    """Read the ids of orders to give up.

    Raises:
        BadFrame: it is no such wish.
    """
    try:
        (order_ids,) = _unpack(frame, "cancel")
        return [_bytes(order_id, 16) for order_id in order_ids]
    except (ValueError, TypeError) as error:
        raise BadFrame(f"not a cancel: {error}") from error


def encode_pong(pong: Pong) -> bytes:
    """One pong as a frame."""
    return _pack("pong", [list(pong.order_ids), list(pong.models), float(pong.busy_s)])


def decode_pong(frame: bytes) -> Pong:
    """Read a pong that a stranger wrote.

    Raises:
        BadFrame: it is none.
    """
    try:
        order_ids, models, busy_s = _unpack(frame, "pong")
        _check(len(order_ids) <= PONG_ORDERS_MAX and len(models) <= PONG_MODELS_MAX, "too long")
        _check(type(busy_s) is float and 0 <= busy_s < math.inf, "seconds expected")
        return Pong(tuple(_bytes(i, 16) for i in order_ids), tuple(_text(m) for m in models), busy_s)
    except (ValueError, TypeError) as error:
        raise BadFrame(f"not a pong: {error}") from error


def _pack(kind: str, fields: list[Any]) -> bytes:
    return bytes(msgpack.packb([VERSION, kind, *fields], use_bin_type=True))


def _unpack(frame: bytes, kind: str) -> list[Any]:
    if not isinstance(frame, bytes | bytearray | memoryview) or len(frame) > RECEIPT_BYTES_MAX * 8:
        raise BadFrame("not bytes, or too many")
    try:
        fields = msgpack.unpackb(frame, raw=False, strict_map_key=True)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise BadFrame("not msgpack") from error
    if not isinstance(fields, list) or fields[:2] != [VERSION, kind]:
        raise BadFrame(f"not a {kind} of version {VERSION}")
    return fields[2:]


def _input_fields(order: InputOrder, urls: dict[str, int]) -> list[Any]:
    parts = [
        [p.item_count, p.encoding, p.data, None if p.url is None else urls.setdefault(p.url, len(urls)),
         p.offset, p.length, p.dtype, p.shape, p.sizes]
        for p in order.parts
    ]  # fmt: skip
    return [order.name, parts, order.broadcast]


def _input_of(fields: list[Any], urls: list[str]) -> InputOrder:
    name, parts, broadcast = fields
    return InputOrder(
        name,
        tuple(
            Part(n, e, d, None if u is None else urls[u], o, size, t, tuple(shape), tuple(sizes))
            for n, e, d, u, o, size, t, shape, sizes in parts
        ),
        broadcast,
    )


def _subtask_receipt_of(fields: list[Any]) -> SubtaskReceipt:
    sub_id, fence, status, run_us, output, header, size, sha256, item_errors, code, detail = fields
    _check(status in {"done", "failed", "refused", "cancelled"}, f"status {status!r}")
    _check(len(item_errors) <= ITEM_ERRORS_MAX, "too many item errors")
    _check(header is None or len(header) <= HEADER_BYTES_MAX, "too long a header")
    return SubtaskReceipt(
        _bytes(sub_id, 16), _count(fence), status, _count(run_us),
        None if output is None else _bytes(output),
        None if header is None else _bytes(header),
        _count(size),
        None if sha256 is None else _bytes(sha256, 32),
        tuple(ItemError(_count(i), _text(c), _text(d)) for i, c, d in item_errors),
        _text(code), _text(detail),
    )  # fmt: skip


def _check(condition: bool, what: str) -> None:
    if not condition:
        raise BadFrame(what)


def _bytes(value: Any, length: int | None = None) -> bytes:
    _check(isinstance(value, bytes) and (length is None or len(value) == length), "bytes expected")
    return bytes(value)


def _count(value: Any) -> int:
    _check(type(value) is int and 0 <= value < 2**62, "a count expected")
    return int(value)


def _text(value: Any) -> str:
    _check(isinstance(value, str), "text expected")
    return str(value)[:DETAIL_CHARACTERS_MAX]
