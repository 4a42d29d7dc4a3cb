"""The messages of Ray's resource stream (StartSync): read, checked against the grant, written anew.

Ray does not ship Python code for `ray_syncer.proto`, so the few messages are described here. What a node says about itself must
stay within its grant; what it says about others, and commands to others, are left out of the stream.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from fabric.gate.claims import Claimed, wrong_with
from fabric.gate.grants import Caller

ACTIVITIES_MAX = 64
ACTIVITY_CHARACTERS_MAX = 300
MESSAGES_MAX = 64
RESOURCE_VIEW = 0

_STRING, _BYTES, _INT64, _BOOL, _ENUM, _MESSAGE, _DOUBLE = 9, 12, 3, 8, 5, 11, 1  # an enum is read as the int32 that it is
_ONE, _MANY = 1, 3


@dataclass(frozen=True, slots=True)
class Synced:
    """What of a batch goes on (None: nothing), and why the rest does not."""

    forwarded: bytes | None
    refused: Sequence[tuple[str, str]] = ()


def check_batch(batch: bytes, caller: Caller) -> Synced:
    """The batch as the GCS may see it: only this node's own resource views, each within its grant."""
    try:
        asked = BATCH.FromString(batch)
    except DecodeError:
        return Synced(None, [("malformed", "this is no batch of sync messages")])
    if len(asked.messages) > MESSAGES_MAX:
        return Synced(None, [("malformed", f"{len(asked.messages)} sync messages at once")])
    allowed, refused = BATCH(), []
    for message in asked.messages:
        wrong = _check_message(message, caller, allowed)
        if wrong is not None:
            refused.append(wrong)
    return Synced(allowed.SerializeToString(deterministic=True) if allowed.messages else None, refused)


def _check_message(message: Any, caller: Caller, allowed: Any) -> tuple[str, str] | None:
    if not caller.node_id or message.node_id != caller.node_id:
        # A lie, or an honest node that repeats what it heard of others when it reconnects: either way the GCS need not hear it.
        return "relayed", f"a sync message about node {message.node_id.hex()[:56]}"
    if message.message_type != RESOURCE_VIEW:
        return None  # commands to other nodes (collect garbage, the cluster is full): left out, honest nodes send them too
    try:
        view = VIEW.FromString(message.sync_message)
    except DecodeError:
        return "malformed", "this is no resource view"
    claimed = Claimed(dict(view.resources_total), dict(view.labels), caller.node_id.hex())
    wrong = wrong_with(claimed, caller) or _wrong_available(view, caller)
    if wrong is not None:
        return wrong
    clean = VIEW(
        object_pulls_queued=view.object_pulls_queued, idle_duration_ms=view.idle_duration_ms, is_draining=view.is_draining,
        draining_deadline_timestamp_ms=view.draining_deadline_timestamp_ms, resources_available=dict(view.resources_available),
        resources_total=dict(view.resources_total), labels=dict(view.labels),
        node_activity=[activity[:ACTIVITY_CHARACTERS_MAX] for activity in view.node_activity[:ACTIVITIES_MAX]],
    )  # fmt: skip
    allowed.messages.add(version=message.version, node_id=message.node_id, sync_message=clean.SerializeToString())
    return None


def _wrong_available(view: Any, caller: Caller) -> tuple[str, str] | None:
    for name, amount in view.resources_available.items():
        total = view.resources_total.get(name, 0.0)
        if not -total <= amount <= total:  # a resource may be lent twice for a moment
            return "resources", f"{amount} of {total} {name[:80]} available"
    return None


def _messages() -> tuple[Any, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="fabric/ray_syncer.proto", package="ray.rpc.syncer", syntax="proto3")
    view = file.message_type.add(name="ResourceViewSyncMessage")
    for number, name, value in ((1, "resources_available", _DOUBLE), (2, "resources_total", _DOUBLE), (8, "labels", _STRING)):
        entry = view.nested_type.add(name="".join(word.title() for word in name.split("_")) + "Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, type=_STRING, label=_ONE)
        entry.field.add(name="value", number=2, type=value, label=_ONE)
        kind = f".ray.rpc.syncer.ResourceViewSyncMessage.{entry.name}"
        view.field.add(name=name, number=number, type=_MESSAGE, type_name=kind, label=_MANY)
    view.field.add(name="object_pulls_queued", number=3, type=_BOOL, label=_ONE)
    view.field.add(name="idle_duration_ms", number=4, type=_INT64, label=_ONE)
    view.field.add(name="is_draining", number=5, type=_BOOL, label=_ONE)
    view.field.add(name="draining_deadline_timestamp_ms", number=6, type=_INT64, label=_ONE)
    view.field.add(name="node_activity", number=7, type=_STRING, label=_MANY)
    message = file.message_type.add(name="RaySyncMessage")
    message.field.add(name="version", number=1, type=_INT64, label=_ONE)
    message.field.add(name="message_type", number=2, type=_ENUM, label=_ONE)
    message.field.add(name="sync_message", number=3, type=_BYTES, label=_ONE)
    message.field.add(name="node_id", number=4, type=_BYTES, label=_ONE)
    batch = file.message_type.add(name="RaySyncMessageBatch")
    batch.field.add(name="messages", number=1, type=_MESSAGE, type_name=".ray.rpc.syncer.RaySyncMessage", label=_MANY)
    pool = descriptor_pool.DescriptorPool()  # of its own: Ray's code may know these names too
    pool.AddSerializedFile(file.SerializeToString())
    classes = [message_factory.GetMessageClass(pool.FindMessageTypeByName(f"ray.rpc.syncer.{name}")) for name in
               ("RaySyncMessageBatch", "ResourceViewSyncMessage")]  # fmt: skip
    return classes[0], classes[1]


BATCH, VIEW = _messages()
