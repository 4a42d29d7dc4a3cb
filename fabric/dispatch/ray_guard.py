"""Nothing that comes back from a call is unpickled in this process: raw bytes come through, everything else is refused unread.

`ray.get` and `await` deserialise by metadata that the *producer* wrote, so a crafted answer would run code here. Nor does it help to
know which actors are strangers': the reply to a call may carry objects under any id, and Ray files each under the id that it claims,
so a stranger's pickle can stand where a trusted actor's answer is awaited. Hence all results are distrusted, whoever was asked.
What has no object id is not a result but an argument of a call to this very process, which only the control node can make.

A reply may also carry, beside its value, what Ray's direct transport of tensors has to say, and Ray's compiled half unpickles that
before anybody asks for the value. No answer of ours has tensors elsewhere, so it is dropped unread.

It relies on private parts of Ray: Ray is pinned exactly, tests/contract/test_fleet.py and test_outward_gate.py prove that the seams
still hold, and docs/decisions/0010-what-is-unpickled.md says what else is unpickled where, and why that is harmless.
"""

from dataclasses import dataclass
from typing import Any

import ray._raylet
from ray._private import ray_constants
from ray._private.serialization import SerializationContext
from ray.core.generated.common_pb2 import ErrorType
from ray.experimental.rdt.rdt_manager import RDTManager

from fabric.actors.messages import RECEIPT_BYTES_MAX

_MARK = "__fabric_guard__"
_RAISED = ErrorType.Value("TASK_EXECUTION_EXCEPTION")


@dataclass(frozen=True, slots=True)
class Refused:
    """Stands where a hostile answer would have been."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Stands where a system error would have been; only its number was looked at, for its text may be the provider's."""

    reason: str


class _WritesOnly:
    """Ray's pickle, as its compiled half sees it from now on: writes as ever, reads nothing."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    @staticmethod
    def loads(*_: Any, **__: Any) -> tuple[()]:
        """What was read. An exception here would end the process: the caller is C++. For a list of exceptions worth a retry, none."""
        return ()


def install() -> None:
    """Put the guard in front of Ray's deserialisers, once for the process. It cannot be taken away again."""
    _guard_results()
    if not isinstance(ray._raylet.ray_pickle, _WritesOnly):
        ray._raylet.ray_pickle = _WritesOnly(ray._raylet.ray_pickle)
        RDTManager.set_tensor_transport_metadata_and_trigger_queued_operations = _keep_nothing


def _keep_nothing(*_: Any) -> None:
    """In place of what would remember each of a machine's words about tensors for ever."""


def _guard_results() -> None:
    original = SerializationContext._deserialize_object
    if getattr(original, _MARK, False):
        return

    def guarded(self: Any, data: Any, metadata: Any, object_ref: Any, *rest: Any) -> Any:
        if object_ref is None or object_ref.is_nil():
            return original(self, data, metadata, object_ref, *rest)
        return read_untrusted(data, metadata)

    setattr(guarded, _MARK, True)
    SerializationContext._deserialize_object = guarded


def read_untrusted(data: Any, metadata: Any) -> bytes | Refused | Lost:
    """The only thing that is ever done with a result."""
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
