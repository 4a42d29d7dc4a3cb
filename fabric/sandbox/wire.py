"""What parent and child say to each other: msgpack over a socket, a length before each message, blocks of memory beside it.

Where memory is shared, its descriptors ride along with the message; elsewhere its content follows the message. Each end may take
the other for a stranger: a message has a largest size, and nothing is unpickled.
"""

import array
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

import msgpack

MESSAGE_BYTES_MAX = 16 * 1024**2
_DESCRIPTORS_MAX = 16  # of one message
_LENGTH = struct.Struct("<I")
_READ_BYTES = 64 * 1024
_ROOM = socket.CMSG_SPACE(_DESCRIPTORS_MAX * array.array("i").itemsize) if hasattr(socket, "CMSG_SPACE") else 0
_BUFFERS_MAX = 64  # of one call; the kernel takes 1024


class BrokenWire(Exception):
    """The other end is gone."""


class Nonsense(BrokenWire):
    """What the other end sent is no message."""


class Wire:
    """One end of a conversation. One thread at a time may send, one may receive."""

    def __init__(self, connection: socket.socket, *, takes_descriptors: bool = False):
        """Speak over `connection`, which becomes the wire's own. Only a child takes descriptors."""
        self._socket = connection
        self._takes_descriptors = takes_descriptors
        self._unread = b""
        self._descriptors: list[int] = []

    def send(self, message: Any, *, descriptors: Sequence[int] = (), contents: Sequence[bytes | memoryview] = ()) -> None:
        """Say something.

        Raises:
            BrokenWire: nobody listens.
        """
        packed: bytes = msgpack.packb(message, use_bin_type=True)
        whole = _LENGTH.pack(len(packed)) + packed
        try:
            if descriptors or contents:
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
                self._send_all([whole, *contents], rights)
            else:
                self._socket.sendall(whole)
        except OSError as error:
            raise BrokenWire(f"nobody listens: {error.strerror}") from error

    def receive(self) -> Any:
        """What is said next.

        Raises:
            BrokenWire: the other end has closed.
            Nonsense: it sent something else than messages.
        """
        unread = self._unread or self._read_more()
        while len(unread) < _LENGTH.size:
            unread += self._read_more()
        (length,) = _LENGTH.unpack_from(unread)
        if length > MESSAGE_BYTES_MAX:
            raise Nonsense(f"a message of {length} bytes")
        end = _LENGTH.size + length
        if len(unread) < end:
            pieces, have = [unread], len(unread)
            while have < end:
                pieces.append(self._read_more())
                have += len(pieces[-1])
            unread = b"".join(pieces)
        self._unread = unread[end:]
        try:
            return msgpack.unpackb(memoryview(unread)[_LENGTH.size : end], raw=False, strict_map_key=True)
        except (ValueError, msgpack.UnpackException, RecursionError) as error:
            raise Nonsense("not msgpack") from error

    def receive_into(self, view: memoryview) -> None:
        """Fill `view` with the content that follows a message.

        Raises:
            BrokenWire: it broke off.
        """
        at = min(len(self._unread), len(view))
        view[:at] = self._unread[:at]
        self._unread = self._unread[at:]
        while at < len(view):
            try:
                received = self._socket.recv_into(view[at:])
            except OSError as error:
                raise BrokenWire(f"broken off: {error.strerror}") from error
            if not received:
                raise BrokenWire("broken off")
            at += received

    def descriptor(self) -> int:
        """The next of those that came along; it is the caller's now.

        Raises:
            BrokenWire: none came.
        """
        if not self._descriptors:
            raise BrokenWire("a descriptor is missing")
        return self._descriptors.pop(0)

    def hang_up(self) -> None:
        """Say and hear no more; whoever waits at either end is woken."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self) -> None:
        """Give the socket back, when nobody uses it any more."""
        self.hang_up()
        self._socket.close()

    def _read_more(self) -> bytes:
        try:
            received = self._read()
        except OSError as error:
            raise BrokenWire(f"broken off: {error.strerror}") from error
        if not received:
            raise BrokenWire("the other end has closed")
        return received

    def _read(self) -> bytes:
        if not self._takes_descriptors:
            # Without room for descriptors the kernel closes any that the other end slips in.
            return self._socket.recv(_READ_BYTES)
        received, ancillary, _flags, _address = self._socket.recvmsg(_READ_BYTES, _ROOM)
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
                self._descriptors += numbers
        return received

    def _send_all(self, buffers: list[bytes | memoryview], rights: list[Any]) -> None:
        if not hasattr(self._socket, "sendmsg"):  # Windows
            for buffer in buffers:
                self._socket.sendall(buffer)
            return
        waiting = [memoryview(buffer).cast("B") for buffer in buffers if len(buffer)]
        while waiting:
            sent = self._socket.sendmsg(waiting[:_BUFFERS_MAX], rights)
            rights = []
            while waiting and sent >= len(waiting[0]):
                sent -= len(waiting.pop(0))
            if waiting and sent:
                waiting[0] = waiting[0][sent:]


def socket_of(told: str) -> socket.socket:
    """A socket that the parent handed over: by its descriptor, or on Windows by what `hand_over` made of it."""
    if os.name == "nt":
        shared: socket.socket = socket.fromshare(bytes.fromhex(told))  # type: ignore[attr-defined]
        return shared
    return socket.socket(fileno=int(told))
