"""The operator's own eyes: speaks with the GCS directly, from the control machine, to see what an attack really did."""

import json
import os
from pathlib import Path
from typing import Any

import grpc
from ray.core.generated import gcs_pb2, gcs_service_pb2, pubsub_pb2

ALIVE = gcs_pb2.GcsNodeInfo.ALIVE
CALL_S = 10.0


class Witness:
    """Sees and does what the control node may."""

    def __init__(self, home: Path) -> None:
        """Of the fabric that runs on this home."""
        lines = (home / "run" / "fabric.env").read_text().splitlines()
        variables = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
        self.gcs = variables["FABRIC_RAY_ADDRESS"].strip("'\"")
        self.token = (home / "secrets" / "ray.token").read_text().strip()
        self.home = home
        self._channel = grpc.insecure_channel(self.gcs, options=[("grpc.max_receive_message_length", -1)])

    def call(self, method: str, request: Any) -> bytes:
        """One call `Service/Method` of the GCS."""
        ask = self._channel.unary_unary(f"/ray.rpc.{method}")
        metadata = [("authorization", f"Bearer {self.token}")]
        return bytes(ask(request.SerializeToString(), metadata=metadata, timeout=CALL_S))

    # ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def nodes(self) -> list[Any]:
        """All nodes, the dead ones too."""
        reply = self.call("NodeInfoGcsService/GetAllNodeInfo", gcs_service_pb2.GetAllNodeInfoRequest())
        return list(gcs_service_pb2.GetAllNodeInfoReply.FromString(reply).node_info_list)

    def alive(self) -> list[Any]:
        return [node for node in self.nodes() if node.state == ALIVE]

    def node_at(self, address: str) -> Any | None:
        """The live node of that address."""
        return next((node for node in self.alive() if node.node_manager_address == address), None)

    def node(self, node_id: bytes) -> Any | None:
        return next((node for node in self.nodes() if node.node_id == node_id), None)

    @property
    def head(self) -> Any:
        return next(node for node in self.alive() if node.is_head_node)

    def resources(self, node_id: bytes) -> dict[str, float]:
        """What the scheduler believes that a node has."""
        reply = self.call("NodeResourceInfoGcsService/GetAllTotalResources", gcs_service_pb2.GetAllTotalResourcesRequest())
        listed = gcs_service_pb2.GetAllTotalResourcesReply.FromString(reply).resources_list
        return next((dict(entry.resources_total) for entry in listed if entry.node_id == node_id), {})

    def reported(self, node_id: bytes) -> Any | None:
        """What the stream of resources said last about a node: totals and labels."""
        reply = self.call("NodeResourceInfoGcsService/GetAllResourceUsage", gcs_service_pb2.GetAllResourceUsageRequest())
        batch = gcs_service_pb2.GetAllResourceUsageReply.FromString(reply).resource_usage_data.batch
        return next((entry for entry in batch if entry.node_id == node_id), None)

    # ── values, jobs, actors ─────────────────────────────────────────────────────────────────────────────────────────

    def kv_put(self, key: bytes, value: bytes, namespace: bytes = b"") -> None:
        request = gcs_service_pb2.InternalKVPutRequest(key=key, value=value, namespace=namespace, overwrite=True)
        self.call("InternalKVGcsService/InternalKVPut", request)

    def kv_get(self, key: bytes, namespace: bytes = b"") -> bytes:
        request = gcs_service_pb2.InternalKVGetRequest(key=key, namespace=namespace)
        return bytes(
            gcs_service_pb2.InternalKVGetReply.FromString(self.call("InternalKVGcsService/InternalKVGet", request)).value
        )

    def jobs(self) -> list[Any]:
        reply = self.call("JobInfoGcsService/GetAllJobInfo", gcs_service_pb2.GetAllJobInfoRequest())
        return list(gcs_service_pb2.GetAllJobInfoReply.FromString(reply).job_info_list)

    def actors(self) -> list[Any]:
        reply = self.call("ActorInfoGcsService/GetAllActorInfo", gcs_service_pb2.GetAllActorInfoRequest())
        return list(gcs_service_pb2.GetAllActorInfoReply.FromString(reply).actor_table_data)

    def actor(self, actor_id: bytes) -> Any | None:
        return next((actor for actor in self.actors() if actor.actor_id == actor_id), None)

    def publish_log(self, line: str) -> None:
        """As the control node's own workers do when they print."""
        message = pubsub_pb2.PubMessage(channel_type=pubsub_pb2.RAY_LOG_CHANNEL, key_id=b"")
        message.log_batch_message.lines.append(line)
        message.log_batch_message.ip, message.log_batch_message.pid = "127.0.0.1", str(os.getpid())
        self.call("ObservabilityPubSubService/GcsPublish", gcs_service_pb2.GcsPublishRequest(pub_messages=[message]))

    def state(self, name: str) -> dict[str, Any]:
        """What `run/<name>.json` of the fabric says."""
        return dict(json.loads((self.home / "run" / f"{name}.json").read_text()))
