"""Hostile models: what ONNX Runtime does with each, what the API says to its upload, and what the sandbox leaves of it without that."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.attack.plain_side import Plain, plainly
from tests.attack.slot import AttackedSlot, Result
from tests.attack.table import MODELS, record
from tests.fixtures import hostile_models
from tests.fixtures.api import Person
from tests.fixtures.orders import Orders

pytestmark = pytest.mark.timeout(300)
SECRET = b"s3cret of the owner"
BUSY_S, HEAVY_MIB = 5.0, 1024


def reader(location: str) -> bytes:
    """y = the first bytes of a file."""
    tensor = TensorProto(name="w", dims=[12], data_type=TensorProto.UINT8, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("length", "12")):
        tensor.external_data.add(key=key, value=value)
    x, y = (
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1]),
        helper.make_tensor_value_info("y", TensorProto.UINT8, [12]),
    )
    graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [x], [y], [tensor])
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString())


def hidden_gigabytes() -> bytes:
    """2 GB whose size comes from the input."""

    def shrink(model: ModelProto) -> None:
        (far,) = (value for value in model.graph.initializer if value.name == "far")
        far.CopyFrom(numpy_helper.from_array(np.array(5.5e8, np.float32), "far"))

    return hostile_models.edited(hostile_models.hidden_bomb(), shrink)


def was_read(plain: Plain) -> bool:
    return "s3cret" in str(plain.said) or "root:" in str(plain.said)


def was_heavy(plain: Plain) -> bool:
    """It took the machine's memory or would not end."""
    return plain.end != "ended" or plain.peak_mib > HEAVY_MIB or plain.seconds > BUSY_S


@dataclass(frozen=True)
class Attack:
    """One model, and how each side is judged."""

    name: str
    build: Callable[[], bytes]
    succeeds: Callable[[Plain], bool] = was_heavy
    rows: str = "[[1.0]]"
    plain_s: float = 8.0
    is_told: bool = False
    """Admission may take it: the profile says what it needs, and only slots that have as much are given it."""


ATTACKS = [
    Attack("read /etc/passwd", lambda: reader("/etc/passwd"), was_read),
    Attack("read /etc/passwd, said relatively", lambda: reader("../" * 12 + "etc/passwd"), was_read),
    Attack("read a file of the home folder", lambda: reader("secret.txt"), was_read),
    Attack(
        "bring a library of operators", lambda: hostile_models.custom_operator("own", "Evil"), lambda p: "error" not in p.said
    ),
    Attack("2 GB from 104 bytes", hostile_models.fill_bomb, rows="[1.0]", plain_s=15.0),
    Attack("2 GB that only the input asks for", hidden_gigabytes, rows="[[0.1]]", plain_s=15.0, is_told=True),
    Attack("a value doubled 28 times", lambda: hostile_models.doubling_chain(28)),
    Attack("an endless loop", lambda: hostile_models.loop(None)),
    Attack("10^6 nodes", hostile_models.many_nodes, plain_s=15.0),
    Attack("2^30 nodes from 2 kB of functions", hostile_models.exploding_functions),
    Attack("nested 10 000 deep", hostile_models.deep_nesting, lambda p: "error" not in p.said),
]


@pytest.fixture
def slot(orders: Orders) -> Iterator[AttackedSlot]:
    made = AttackedSlot(orders)
    yield made
    made.close()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_a_hostile_model(attack: Attack, api: httpx.AsyncClient, alice: Person, slot: AttackedSlot, tmp_path: Path):
    content = attack.build()
    home = tmp_path / "home"
    home.mkdir()
    (home / "secret.txt").write_bytes(SECRET)
    (home / "model.onnx").write_bytes(content)
    plain = plainly("run_model", str(home / "model.onnx"), attack.rows, timeout_s=attack.plain_s)
    record(MODELS, attack.name, "plain", succeeded=attack.succeeds(plain), evidence=plain.hurt)

    upload = await api.post("/api/v1/models", data={"name": "evil"}, files={"file": ("m.onnx", content)}, headers=alice.headers)
    admitted = upload.status_code == 201
    needs_mib = upload.json()["profile"]["memory_bytes"] // 1024**2 if admitted else 0
    result = run_in(slot, attack, content)
    got_through = (
        (admitted and not (attack.is_told and needs_mib > HEAVY_MIB))
        or result.status == "done"
        or result.peak_mib > HEAVY_MIB
        or SECRET[:6] in outputs_of(result)
    )
    works = slot.still_works()
    answer = f"admitted for slots of {needs_mib} MiB" if admitted else f"{upload.status_code} {upload.json().get('reason', '')}"
    said = f"upload: {answer}; in the sandbox: {result.said}, then an honest order {'ran' if works else 'FAILED'}"
    outcome = record(MODELS, attack.name, "fabric", succeeded=got_through or not works, evidence=said)
    assert not outcome.succeeded, said


def run_in(slot: AttackedSlot, attack: Attack, content: bytes) -> Result:
    rows = np.array(json.loads(attack.rows), np.float32)
    outputs: Any = {"y": {"dtype": "uint8", "shape": [12]}} if content.count(b"location") else None
    return slot.run(content, items=rows, outputs=outputs, timeout_s=3.0)


def outputs_of(result: Result) -> bytes:
    return b"".join(value.tobytes() for value in result.outputs.values())
