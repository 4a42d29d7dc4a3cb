"""Counters, log lines and the control socket."""

import asyncio

import pytest

from fabric.core.ids import ProviderId
from fabric.core.telemetry import configure_logging
from fabric.gate import control, methods
from fabric.gate.calls import Calls, CutOff
from fabric.gate.config import GateConfig
from fabric.gate.haproxy import configuration
from fabric.gate.refusals import CASES_MAX, Refusals


def refuse(refusals, method=methods.KV_GET, reason="key", provider="prv_1", peer="10.9.0.2"):
    refusals.refuse(method, reason, "reading b'x'", peer=peer, provider=provider)


def test_each_refusal_is_counted_and_the_same_again_is_logged_once(capsys):
    configure_logging("info")
    refusals = Refusals()
    for _ in range(500):
        refuse(refusals)
    refuse(refusals, reason="size")
    assert refusals.refused == {
        ("InternalKVGcsService/InternalKVGet", "key"): 500,
        ("InternalKVGcsService/InternalKVGet", "size"): 1,
    }
    assert refusals.by_provider["prv_1"]["InternalKVGcsService/InternalKVGet key"] == 500
    said = capsys.readouterr()
    assert (said.out + said.err).count("gate_refused") == 2
    assert len(refusals.cases) == CASES_MAX


def test_what_strangers_make_up_does_not_grow_the_counters():
    refusals = Refusals()
    for number in range(1000):
        refuse(refusals, method=f"/made/up{number}", reason="method", provider=None)
    assert refusals.refused == {("other", "method"): 1000}
    assert list(refusals.by_provider) == ["unbound"]
    assert refusals.as_json()["latest"][-1]["method"] == "/made/up999"


def test_prometheus_reads_it():
    from prometheus_client.parser import text_string_to_metric_families

    refusals = Refusals()
    refuse(refusals)
    refusals.count_call(methods.GET_CLUSTER_ID, "forwarded")
    families = {f.name: f.samples[0] for f in text_string_to_metric_families(refusals.as_prometheus({"fabric_gate_machines": 3}))}
    assert families["fabric_gate_refused"].value == 1
    assert families["fabric_gate_refused"].labels == {"method": "InternalKVGcsService/InternalKVGet", "reason": "key"}
    assert families["fabric_gate_calls"].labels["outcome"] == "forwarded"
    assert families["fabric_gate_machines"].value == 3


async def test_the_control_socket_answers_even_at_a_long_path(tmp_path):
    folder = tmp_path / ("long" * 30)
    folder.mkdir()

    async def status():
        return {"fine": True}

    server = await control.serve(folder / "gate.sock", {"status": status})
    assert await asyncio.to_thread(control.ask, folder / "gate.sock", "status") == {"fine": True}
    assert await asyncio.to_thread(control.ask, folder / "gate.sock", "nonsense") == {"error": "ask one of status"}
    assert (folder / "gate.sock").stat().st_mode & 0o777 == 0o600
    server.close()
    await server.wait_closed()


def test_nobody_there_is_an_error(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        control.ask(tmp_path / "gate.sock", "status")


class Call:
    def __init__(self):
        self.ended = asyncio.get_running_loop().create_future()

    def cancel(self):
        self.ended.cancel()

    def __await__(self):
        return self.ended.__await__()


async def test_calls_of_a_machine_that_is_cut_off_end_as_cut_off_and_others_go_on():
    calls, mine, yours = Calls(), ProviderId.new(), ProviderId.new()

    async def forward(provider_id, call):
        with calls.under_way(provider_id, call):
            return await call

    other = Call()
    both = ((mine, Call()), (mine, Call()), (yours, other))
    under_way = [asyncio.ensure_future(forward(who, call)) for who, call in both]
    await asyncio.sleep(0)
    assert calls.count() == {mine: 2, yours: 1}
    assert calls.end(mine) == 2
    ended = await asyncio.gather(*under_way[:2], return_exceptions=True)
    assert [type(error) for error in ended] == [CutOff, CutOff]
    other.ended.set_result("answered")
    assert await under_way[2] == "answered"
    assert calls.count() == {}


async def test_a_call_whose_caller_hangs_up_is_ended_and_is_no_cut_off():
    calls, call = Calls(), Call()

    async def forward():
        with calls.under_way(ProviderId.new(), call):
            await call

    waiting = asyncio.ensure_future(forward())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert call.ended.cancelled()
    assert calls.count() == {}


def test_haproxy_listens_where_machines_come_from_and_nowhere_else():
    lines = configuration(GateConfig("127.0.0.1:6399", "t", "f", "s", 6400, host="10.9.0.1")).splitlines()
    binds = [line.split()[1] for line in lines if line.split()[:1] == ["bind"]]
    assert binds == ["10.9.0.1:6400", *(f"127.64.0.{n}:6400" for n in range(1, 33))]
    assert all("6399" not in line for line in lines)  # the GCS is reached by the check alone
