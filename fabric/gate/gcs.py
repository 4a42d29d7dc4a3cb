"""The GCS as the gate reaches it: one channel for each machine's calls, and the gate's own calls with the cluster's token.

Channels reconnect by themselves, so a restart of the GCS costs callers an UNAVAILABLE, which Ray tries again.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from ray.core.generated import common_pb2, gcs_pb2, gcs_service_pb2

from fabric.core.ids import ProviderId
from fabric.gate import methods
from fabric.gate.claims import Node

OWN_CALL_TIMEOUT_S = 5.0
REASON_CHARACTERS_MAX = 200
# A pool of its own for each channel: one machine that does not read its answers must not hold up another's.
CHANNEL_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.min_reconnect_backoff_ms", 500), ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0),
)  # fmt: skip


class GcsAway(Exception):
    """The GCS does not answer the gate's own call now."""


class TokenFile:
    """The cluster's token: read again when its file changes, so that a rotation needs no restart of the gate."""

    def __init__(self, path: Path) -> None:
        """Read now.

        Raises:
            OSError: there is no such file.
        """
        self._path = path
        self._stamp = (0, 0)
        self._value = ""
        self._read()

    def value(self) -> str:
        """The present token; the last one while its file is being replaced."""
        try:
            self._read()
        except OSError:
            pass
        return self._value

    def _read(self) -> None:
        facts = self._path.stat()
        if (stamp := (facts.st_mtime_ns, facts.st_ino)) != self._stamp:
            self._value, self._stamp = self._path.read_text().strip(), stamp


class Gcs:
    """One GCS."""

    def __init__(self, address: str, token: Callable[[], str]) -> None:
        """Connects when it is first asked."""
        self._address = address
        self._token = token
        self._cluster_id = ""
        self._own = self._connect()
        self._channels: dict[ProviderId, Any] = {}

    def channel_of(self, provider_id: ProviderId) -> Any:
        """The channel that carries this machine's calls and nobody else's."""
        if provider_id not in self._channels:
            self._channels[provider_id] = self._connect()
        return self._channels[provider_id]

    async def close_channel(self, provider_id: ProviderId) -> None:
        """End whatever this machine still has under way."""
        if (channel := self._channels.pop(provider_id, None)) is not None:
            await channel.close(None)

    async def close(self) -> None:
        """End everything."""
        for channel in [self._own, *self._channels.values()]:
            await channel.close(None)

    async def nodes(self) -> list[Node]:
        """All nodes that the GCS remembers, dead ones too.

        Raises:
            GcsAway: it does not answer.
        """
        reply = await self._ask(
            methods.GET_ALL_NODE_INFO, gcs_service_pb2.GetAllNodeInfoRequest(), gcs_service_pb2.GetAllNodeInfoReply
        )
        return [
            Node(
                n.node_id.hex(), n.node_manager_address, frozenset((n.node_manager_port, n.object_manager_port)),
                n.state == gcs_pb2.GcsNodeInfo.ALIVE,
            )
            for n in reply.node_info_list
        ]  # fmt: skip

    async def node_of_worker(self, worker_id: bytes) -> bytes | None:
        """The node whose worker this is; None when the GCS has not heard of it.

        Raises:
            GcsAway: it does not answer.
        """
        request = gcs_service_pb2.GetWorkerInfoRequest(worker_id=worker_id)
        reply = await self._ask(methods.GET_WORKER, request, gcs_service_pb2.GetWorkerInfoReply)
        return bytes(reply.worker_table_data.worker_address.node_id) or None

    async def unregister(self, node_id: str, why: str) -> None:
        """Have the GCS give a node up, at once. A node that is dead or unknown already is nothing.

        Raises:
            GcsAway: it does not answer.
        """
        if not any(node.node_id == node_id and node.is_alive for node in await self.nodes()):
            return
        expected = common_pb2.NodeDeathInfo.EXPECTED_TERMINATION
        info = common_pb2.NodeDeathInfo(reason=expected, reason_message=why[:REASON_CHARACTERS_MAX])
        request = gcs_service_pb2.UnregisterNodeRequest(node_id=bytes.fromhex(node_id), node_death_info=info)
        await self._ask(methods.UNREGISTER_NODE, request, gcs_service_pb2.UnregisterNodeReply)

    async def _ask(self, path: str, request: Any, reply: Any) -> Any:
        try:
            if not self._cluster_id:
                raw = await self._call(methods.GET_CLUSTER_ID, b"")
                self._cluster_id = gcs_service_pb2.GetClusterIdReply.FromString(raw).cluster_id.hex()
            return reply.FromString(await self._call(path, request.SerializeToString()))
        except grpc.aio.AioRpcError as error:
            self._cluster_id = ""  # another cluster may answer there next time
            raise GcsAway(f"{path}: {error.code().name}") from error

    async def _call(self, path: str, request: bytes) -> bytes:
        metadata = [("authorization", f"Bearer {self._token()}")]
        if self._cluster_id:
            metadata.append(("ray_cluster_id", self._cluster_id))
        return bytes(await self._own.unary_unary(path)(request, metadata=metadata, timeout=OWN_CALL_TIMEOUT_S))

    def _connect(self) -> Any:
        return grpc.aio.insecure_channel(self._address, options=CHANNEL_OPTIONS)
