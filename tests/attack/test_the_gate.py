"""A joined provider attacks: with the gate every attack is refused, without it each one succeeds."""

import subprocess
from collections.abc import Iterator

import numpy as np
import pytest

from fabric.client import Client
from tests.attack import gate_claims, gate_code, gate_reach
from tests.attack.effects import Attack
from tests.attack.fabrics import AttackedFabric, start_fabric
from tests.attack.machines import HUB
from tests.attack.table import GATE, record
from tests.fixtures import onnx_models

pytestmark = pytest.mark.timeout(600)
ATTACKS = [*gate_code.ATTACKS, *gate_claims.ATTACKS, *gate_reach.ATTACKS]  # those that end something come last


@pytest.fixture(scope="session")
def hub() -> str:
    """The control machine's address on the overlay. Only in the namespaces that `make attack` makes, never on a real machine."""
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(links) == 1, "run `make attack`: this is no network namespace of its own"
    subprocess.run(["ip", "address", "add", f"{HUB}/32", "dev", "lo"], check=True)
    return HUB


@pytest.fixture(scope="session", params=["gated", "open"])
def fabric(request: pytest.FixtureRequest, hub: str) -> Iterator[AttackedFabric]:
    """First a fabric as it is by default, then the same one with the gate off."""
    running = start_fabric(is_gated=request.param == "gated")
    yield running
    running.end()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.run.__name__)
def test_what_the_gate_is_for(attack: Attack, fabric: AttackedFabric):
    fabric.wait_until_whole()
    outcome = attack.run(fabric)
    record(GATE, attack.name, fabric.side, succeeded=outcome.succeeded, evidence=outcome.evidence)
    if fabric.is_gated:
        assert not outcome.succeeded, f"it got through: {outcome.evidence}"
    else:
        assert outcome.succeeded, f"it fails without the gate too, so it proves nothing: {outcome.evidence}"


@pytest.mark.parametrize("fabric", ["gated"], indirect=True)
def test_honest_work_still_passes_the_gate(fabric: AttackedFabric):
    key = (fabric.home / "secrets" / "you.api-key").read_text().strip()
    with Client(fabric.url, key, allow_plaintext=True) as client:
        client.models.upload("affine", onnx_models.affine())
        x = np.arange(24, dtype=np.float32).reshape(6, 4)
        job = client.submit("affine", {"x": x}).wait(120, progress=False)
        assert job.status == "succeeded", job.facts
        assert np.array_equal(job.results()["y"], 2 * x + 1)
