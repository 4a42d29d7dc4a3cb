"""The gate before a real GCS: a real node joins through it and lives on, whatever restarts; a machine that is cut off is gone."""

import asyncio
import json
import socket

import grpc
import psutil
import psycopg
import pytest
from psycopg import sql

from fabric.gate import methods
from fabric.gate.gcs import Gcs
from fabric.providers import grants
from tests.fixtures.gate import until
from tests.fixtures.ray_head import RayHead

pytestmark = pytest.mark.ray


def status_of(gate, machine):
    return gate.ask("status")["peers"].get(str(machine.provider_id))


def alive(head, node_id):
    return node_id in {node["node_id"] for node in head.nodes()}


async def test_a_node_joins_through_the_gate_hosts_an_actor_and_leaves(enrolled, gate, ray_head, database):
    machine = await enrolled()
    assert machine.enter() == {"node_ip": "127.0.0.1"}
    node = await machine.join(ray_head)
    assert node.error is None, gate.log()
    seen = await asyncio.to_thread(ray_head.ask, "probe", node_id=node.node_id)
    assert seen["node_id"] == node.node_id
    assert gate.refused() == {}
    assert status_of(gate, machine)["node_id"] == node.node_id
    async with database.reading() as reader:
        assert await grants.bound_node(reader, machine.provider_id) == node.node_id
    await asyncio.to_thread(node.stop)
    await until(lambda: status_of(gate, machine)["node_id"] is None)
    async with database.reading() as reader:
        assert await grants.bound_node(reader, machine.provider_id) is None


async def test_a_node_and_its_actor_outlive_a_killed_gate(enrolled, gate, ray_head):
    machine = await enrolled()
    machine.enter()
    node = await machine.join(ray_head)
    before = await asyncio.to_thread(ray_head.ask, "hold", node_id=node.node_id)
    assert "error" not in before, gate.log()
    haproxy = [child.pid for child in psutil.Process(gate.process.pid).children()]
    gate.kill()
    await until(lambda: not any(psutil.pid_exists(pid) for pid in haproxy))
    await asyncio.to_thread(gate.start)
    after = await asyncio.to_thread(ray_head.ask, "call", node_id=node.node_id)
    assert "error" not in after, gate.log()
    assert (after["pid"], after["calls"]) == (before["pid"], before["calls"] + 1)
    await until(lambda: status_of(gate, machine)["calls"] >= 2)  # its resource stream and its long poll are back
    fresh = await asyncio.to_thread(ray_head.ask, "probe", node_id=node.node_id)
    assert fresh["node_id"] == node.node_id
    assert set(gate.refused()) <= {"StartSync relayed"}  # what it had heard of others, said again on a new stream
    assert await asyncio.to_thread(node.lives)


async def test_a_node_outlives_a_restart_of_the_head(app_url, database, enrolled, gate, ray_head):
    machine = await enrolled()
    machine.enter()
    node = await machine.join(ray_head)
    ray_head.kill()
    await asyncio.to_thread(ray_head.start)
    await until(lambda: alive(ray_head, node.node_id))
    seen = await asyncio.to_thread(ray_head.ask, "probe", node_id=node.node_id)
    assert seen["node_id"] == node.node_id
    assert set(gate.refused()) <= {"StartSync relayed"}


async def test_machines_that_are_known_go_on_while_postgres_is_away(enrolled, gate, ray_head, database, owner_url):
    machine, late = await enrolled(), await enrolled()
    machine.enter()
    node = await machine.join(ray_head)
    name = psycopg.conninfo.conninfo_to_dict(owner_url)["dbname"]
    server = owner_url.replace(f"/{name}", "/postgres")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        try:
            await until(lambda: gate.ask("status")["database"] == "away")
            seen = await asyncio.to_thread(ray_head.ask, "probe", node_id=node.node_id)
            assert seen["node_id"] == node.node_id
            with pytest.raises(grpc.RpcError) as away:
                late.enter()
            assert away.value.code() is grpc.StatusCode.UNAVAILABLE
        finally:
            connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(name)))
    await until(lambda: gate.ask("status")["database"] == "here")
    await database.close()  # this process's own connections were ended too; the next use makes others
    assert late.enter() == {"node_ip": "127.0.0.1"}


async def test_a_machine_that_is_cut_off_is_gone_with_its_node_and_its_connections(enrolled, gate, ray_head, database):
    machine, other = await enrolled(), await enrolled()
    machine.enter()
    other.enter()
    node = await machine.join(ray_head)
    haproxy = psutil.Process(gate.process.pid).children()[0]

    def connections() -> set[int]:
        """The node's ends of its connections."""
        host, found = machine.address.partition(":")[0], haproxy.net_connections("tcp")
        return {c.raddr.port for c in found if c.laddr.ip == host and c.status == psutil.CONN_ESTABLISHED}

    before = await asyncio.to_thread(connections)
    assert before
    async with database.transaction() as tx:
        await grants.revoke(tx, machine.provider_id)
    print(f"its connections were gone after {await until(lambda: not before & connections()):.2f} s")
    await until(lambda: not alive(ray_head, node.node_id))
    assert machine.refusal(methods.GET_CLUSTER_ID).code() is grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(grpc.RpcError) as denied:
        machine.enter()
    assert denied.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert gate.refused()["Enter key"] == 1
    await until(lambda: gate.refused().get("GetClusterId unbound", 0) >= 1)
    async with database.reading() as reader:
        assert await grants.bound_node(reader, machine.provider_id) is None
    assert other.call(methods.GET_CLUSTER_ID)  # nobody else noticed


async def test_a_machine_cut_off_while_the_gate_was_down_is_gone_when_it_is_back(enrolled, gate, ray_head, database):
    machine = await enrolled()
    machine.enter()
    node = await machine.join(ray_head)
    gate.kill()
    async with database.transaction() as tx:
        await grants.revoke(tx, machine.provider_id)
    await asyncio.to_thread(gate.start)
    await until(lambda: not alive(ray_head, node.node_id))
    assert machine.refusal(methods.GET_CLUSTER_ID).code() is grpc.StatusCode.PERMISSION_DENIED


async def test_the_second_node_of_a_machine_replaces_the_first(enrolled, gate, ray_head):
    machine = await enrolled()
    machine.enter()
    first = await machine.join(ray_head)
    machine.node = None
    second = await machine.join(ray_head)
    try:
        assert second.error is None, gate.log()
        await until(lambda: not alive(ray_head, first.node_id))
        assert await asyncio.to_thread(alive, ray_head, second.node_id)
        assert status_of(gate, machine)["node_id"] == second.node_id
    finally:
        await asyncio.to_thread(first.stop)


async def test_a_machine_that_enters_from_another_address_leaves_the_first(enrolled, ray_head, app_url, database, outer_gate):
    gate, host = outer_gate
    machine, neighbour = await enrolled(), await enrolled()
    machine.gate = neighbour.gate = gate
    machine.enter()
    node = await machine.join(ray_head)
    assert machine.enter_at(f"{host}:{gate.config.port}") == {"node_ip": host}
    await until(lambda: not alive(ray_head, node.node_id))
    assert machine.refusal(methods.GET_CLUSTER_ID).code() is grpc.StatusCode.PERMISSION_DENIED
    # The address is a machine that entered a moment ago, so it is nobody else's.
    with pytest.raises(grpc.RpcError) as taken:
        neighbour.enter_at(f"{host}:{gate.config.port}")
    assert taken.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert gate.refused()["Enter taken"] == 1


async def test_a_token_that_was_rotated_opens_no_more(enrolled, gate, ray_head):
    machine = await enrolled()
    machine.enter()
    token_file = ray_head.folder / "token"
    try:
        token_file.write_text("another")
        assert machine.refusal(methods.GET_CLUSTER_ID).code() is grpc.StatusCode.UNAUTHENTICATED
    finally:
        token_file.write_text(ray_head.token)
    assert machine.call(methods.GET_CLUSTER_ID)
    assert gate.refused() == {"GetClusterId token": 1}


async def test_the_gate_ends_orderly_and_frees_its_port(gate):
    assert gate.stop() == 0
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.64.0.1", gate.config.port))


async def test_the_gate_ends_when_its_haproxy_does_so_that_it_is_started_again(gate):
    psutil.Process(gate.process.pid).children()[0].kill()
    assert await asyncio.to_thread(gate.process.wait, 20) == 1


async def test_it_counts_in_prometheus_words(enrolled, gate):
    machine = await enrolled()
    machine.refusal("/ray.rpc.JobInfoGcsService/GetNextJobID")
    await until(lambda: gate.refused() != {})  # HAProxy tells the gate a moment later
    machine.enter()
    machine.call(methods.GET_CLUSTER_ID)
    said = gate.ask("metrics")["text"]
    assert 'fabric_gate_refused_total{method="other",reason="unbound"} 1' in said
    assert 'fabric_gate_calls_total{method="NodeInfoGcsService/GetClusterId",outcome="forwarded"} 1' in said
    assert "fabric_gate_machines 1" in said


async def test_a_request_to_enter_that_is_none_is_refused(enrolled, gate):
    machine, other = await enrolled(), await enrolled()
    for said in (b"", b"[]", b'{"provider_id": 3}', b"x" * 2000, json.dumps({"provider_id": "prv_?", "gate_key": "k"}).encode()):
        assert machine.refusal(methods.ENTER, said).code() is grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(grpc.RpcError):
        machine.enter(key="fgk_wrong")
    with pytest.raises(grpc.RpcError) as others:
        machine.enter(key=other.key, provider_id=other.provider_id)  # right key, somebody else's number
    assert others.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert gate.refused() == {"Enter malformed": 5, "Enter key": 1, "Enter number": 1}


async def test_the_gates_own_calls_reach_the_gcs(ray_head: RayHead):
    gcs = Gcs(ray_head.address, lambda: ray_head.token)
    try:
        assert any(node.is_alive for node in await gcs.nodes())
        assert await gcs.node_of_worker(bytes(28)) is None
        await gcs.unregister("00" * 28, "there is no such node")
    finally:
        await gcs.close()
