"""The restricted child that inspects and measures strangers' models."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from fabric.catalog import admit as admission
from fabric.catalog.admit import admit
from fabric.core.errors import Invalid, InvalidModel
from tests.fixtures.onnx_models import affine, convolution, model_of, slow


@pytest.fixture
def stored(tmp_path: Path):
    def store(content: bytes) -> Path:
        path = tmp_path / f"{abs(hash(content))}.onnx"
        path.write_bytes(content)
        return path

    return store


async def test_a_good_model_comes_back_with_card_inspection_and_profile(stored):
    admitted = await admit(stored(convolution()), {"inputs": {"image": {"codec": "image"}}})
    assert admitted.card["inputs"]["image"]["layout"] == "nchw"
    assert admitted.inspection["inputs"]["image"]["shape"] == [None, 3, 8, 8]
    assert admitted.profile["batchable"] is True


async def test_a_refused_model_says_why(stored):
    with pytest.raises(InvalidModel) as refused:
        await admit(stored(affine()[:-9]), {})
    assert refused.value.fields["reason"] == "truncated"


async def test_a_wrong_card_is_told_in_full(stored):
    with pytest.raises(Invalid) as refused:
        await admit(stored(affine()), {"inputs": {"z": {}}, "colour": 1})
    assert {error["loc"] for error in refused.value.fields["errors"]} == {"card.inputs.z", "card.colour"}
    assert not isinstance(refused.value, InvalidModel)


async def test_a_small_file_that_wants_gigabytes_is_refused(stored):
    fill = helper.make_tensor("fill", TensorProto.FLOAT, [1], [1.0])
    nodes = [
        helper.make_node("ConstantOfShape", ["huge"], ["filled"], value=fill),
        helper.make_node("ReduceSum", ["filled"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    bomb = stored(model_of(nodes, {"x": ["N", 1]}, {"y": ["N", 1]}, {"huge": np.array([2_000_000_000])}))
    assert bomb.stat().st_size < 1000
    with pytest.raises(InvalidModel) as refused:
        await admit(bomb, {})
    assert refused.value.fields["reason"] in {"cannot_load", "cannot_run", "crashed", "too_large"}


async def test_an_endless_model_is_ended_and_refused(stored):
    with pytest.raises(InvalidModel) as refused:
        await admit(stored(slow(multiplications=2**62)), {}, wall_s=2.0)
    assert refused.value.fields["reason"] == "too_slow"


async def test_a_model_that_uses_up_its_processor_time_is_refused(stored):
    with pytest.raises(InvalidModel) as refused:
        await admit(stored(slow(multiplications=2**62)), {}, cpu_s=2)
    assert refused.value.fields["reason"] == "too_slow"


async def test_the_child_knows_nothing_and_may_do_little():
    probe = (
        "import json, os, resource; from fabric.catalog.admit import _restrict; _restrict(1 << 32, 5);"
        "print(json.dumps([sorted(os.environ), resource.getrlimit(resource.RLIMIT_FSIZE)[1],"
        " resource.getrlimit(resource.RLIMIT_AS)[1], resource.getrlimit(resource.RLIMIT_NPROC)[1]]))"
    )
    ran = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-I", "-c", probe], env=admission.ENVIRONMENT, capture_output=True, check=True
    )
    names, file_bytes, memory_bytes, processes = json.loads(ran.stdout)
    assert not [name for name in names if "FABRIC" in name or "AWS" in name or name in {"HOME", "USER"}]
    assert (file_bytes, memory_bytes, processes) == (admission.ANSWER_BYTES_MAX, 1 << 32, 0)


async def test_the_child_loads_no_code_that_knows_secrets():
    probe = (
        "import sys; import fabric.catalog.admit, fabric.catalog.card, fabric.catalog.inspect, fabric.catalog.profile;"
        "print([m for m in ('fabric.core.settings', 'fabric.db', 'fabric.storage', 'sqlalchemy', 'boto3', 'fastapi', 'ray') if m in sys.modules])"
    )
    ran = await asyncio.to_thread(subprocess.run, [sys.executable, "-I", "-c", probe], capture_output=True, check=True, text=True)
    assert ran.stdout.strip() == "[]"
