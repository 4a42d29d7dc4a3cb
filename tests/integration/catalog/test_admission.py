"""The restricted child that inspects and measures strangers' models."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from fabric.catalog.admit import admit
from fabric.core.errors import Invalid, InvalidModel
from fabric.sandbox.launch import isolation
from tests.fixtures.hostile_models import HOSTILE, HOSTILE_WHEN_RUN, Hostile, hidden_work
from tests.fixtures.onnx_models import affine, convolution, slow


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


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
async def test_a_hostile_file_is_refused_with_its_reason_and_its_node(stored, hostile: Hostile):
    with pytest.raises(InvalidModel) as refused:
        await admit(stored(hostile.build()), {}, control_flow=hostile.control_flow)
    assert refused.value.fields["reason"] == hostile.reason
    assert hostile.words in refused.value.detail
    if hostile.op_type is not None:
        assert refused.value.fields["node"]["op_type"] == hostile.op_type


@pytest.mark.parametrize("hostile", HOSTILE_WHEN_RUN, ids=lambda hostile: hostile.name)
async def test_what_only_a_run_can_tell_is_refused_after_a_run_under_limits(stored, hostile: Hostile):
    with pytest.raises(InvalidModel) as refused:
        await admit(stored(hostile.build()), {}, control_flow=hostile.control_flow, wall_s=5.0)
    assert refused.value.fields["reason"] == hostile.reason
    assert hostile.words in refused.value.detail
    assert refused.value.fields["node"]["op_type"] == hostile.op_type


async def test_a_model_that_uses_up_its_processor_time_is_refused(stored):
    with pytest.raises(InvalidModel) as refused:
        await admit(stored(hidden_work()), {}, control_flow=True, cpu_s=2)
    assert refused.value.fields["reason"] == "too_slow"
    assert refused.value.fields["node"]["name"] == "forever"


async def test_a_model_with_a_loop_that_ends_is_admitted_where_control_flow_is_enabled(stored):
    content = stored(slow(multiplications=100))
    assert (await admit(content, {}, control_flow=True)).profile["batchable"] is True
    with pytest.raises(InvalidModel, match="not enabled"):
        await admit(content, {})


async def test_a_model_is_measured_in_the_isolation_that_this_machine_has(stored):
    assert (await admit(stored(affine()), {})).profile["isolation"] == isolation()


async def test_a_model_is_admitted_where_there_is_no_sandbox(stored):
    """The same in a control process that has only the restricted child."""
    program = (
        "import asyncio, json, pathlib, sys; from fabric.catalog.admit import admit;"
        "print(json.dumps(asyncio.run(admit(pathlib.Path(sys.argv[1]), {})).profile))"
    )
    ran = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program, str(stored(affine()))],
        env={"FABRIC_SANDBOX": "process", "PATH": "/usr/bin:/bin"}, capture_output=True, check=True,
    )  # fmt: skip
    profile = json.loads(ran.stdout)
    assert (profile["isolation"], profile["batchable"]) == ("process", True)


async def test_the_child_loads_no_code_that_knows_secrets():
    probe = (
        "import sys; import fabric.catalog.examine;"
        "print([m for m in ('fabric.core.settings', 'fabric.db', 'fabric.storage', 'sqlalchemy', 'boto3', 'fastapi', 'ray') if m in sys.modules])"
    )
    ran = await asyncio.to_thread(subprocess.run, [sys.executable, "-I", "-c", probe], capture_output=True, check=True, text=True)
    assert ran.stdout.strip() == "[]"
