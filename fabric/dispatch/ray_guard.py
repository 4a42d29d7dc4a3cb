"""Nothing that a provider's actor returns is unpickled: raw bytes come through, everything else is refused unread.

`ray.get` and `await` deserialise by metadata that the *producer* wrote, so a crafted answer would run code here. The guard stands
in front of Ray's deserialiser. Which objects it judges is read from the object id itself, which names the actor that made it, so
there is no moment at which a reference is not yet registered. It relies on a private method of Ray: Ray is pinned exactly, and
tests/contract/test_fleet.py proves that the seam still holds.
"""

from dataclasses import dataclass
from typing import Any

from ray._private import ray_constants
from ray._private.serialization import SerializationContext
from ray.core.generated.common_pb2 import ErrorType

from fabric.actors.messages import RECEIPT_BYTES_MAX

_MARK = "__fabric_guard__"
_RAISED = ErrorType.Value("TASK_EXECUTION_EXCEPTION")
_untrusted: set[bytes] = set()


@dataclass(frozen=True, slots=True)
class Refused:
    """Stands where a hostile answer would have been."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Stands where a system error would have been; only its number was looked at, for its text may be the provider's."""

    reason: str


def distrust(actor_id: bytes) -> None:
    """From now on whatever this actor returns is bytes or refused. Call it before its first answer is awaited."""
    install()
    _untrusted.add(actor_id)


def install() -> None:
    """Put the guard in front of Ray's deserialiser, once for the process."""
    original = SerializationContext._deserialize_object
    if getattr(original, _MARK, False):
        return

    def guarded(self: Any, data: Any, metadata: Any, object_ref: Any, *rest: Any) -> Any:
        if object_ref is not None and object_ref.task_id().actor_id().binary() in _untrusted:
            return read_untrusted(data, metadata)
        return original(self, data, metadata, object_ref, *rest)

    setattr(guarded, _MARK, True)
    SerializationContext._deserialize_object = guarded


def read_untrusted(data: Any, metadata: Any) -> bytes | Refused | Lost:
    """The only thing that is ever done with a provider's object."""
    kind = bytes(metadata or b"").split(b",")[0]
    if kind == ray_constants.OBJECT_METADATA_TYPE_RAW:
        if data is None:
            return b""
        if len(data) > RECEIPT_BYTES_MAX:
            return Refused(f"an answer of {len(data)} bytes")
        return bytes(data.to_pybytes())
    if not kind.isdigit() or int(kind) == _RAISED:
        return Refused("an answer that is not raw bytes")
    return Lost(_name_of(int(kind)))


def _name_of(number: int) -> str:
    try:
        return str(ErrorType.Name(number)).lower()
    except ValueError:
        return f"error {number}"
