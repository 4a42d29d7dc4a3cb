"""A forgotten password, a second factor, a network that was away, and an operator's audit: in a real browser on a real fabric."""

import json
import subprocess

import pytest

from fabric.core.settings import BillingSettings
from tests.fixtures.node import CONSOLE, node_environment

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]
STORY_S = 200


def test_a_person_gets_back_in_and_an_operator_audits_the_books(fabric):
    mails = fabric.home.path / "mail"
    story = [
        "node",
        "journeys/account.mjs",
        fabric.url,
        str(mails),
        "operator@localhost",
        fabric.home.secret("operator.password"),
    ]
    played = subprocess.run(
        story, cwd=CONSOLE, env=node_environment(), capture_output=True, text=True, timeout=STORY_S, check=False
    )
    assert played.returncode == 0, played.stderr[-4000:]
    seen = json.loads(played.stdout.splitlines()[-1])
    # Then no page had an accessibility fault, scrolled sideways, or wrote an error or a warning
    assert seen["faults"] == []
    # And recovery codes were shown, what happened while the network was away came by itself, and the books are right
    assert seen["codes"] >= 8
    assert seen["notReloaded"] is True
    assert seen["audit"].startswith("All ")
    assert seen["audit"].endswith("Nothing was found.")
    assert seen["commission"] == f"{BillingSettings().commission_bps / 100:g} %"
    # And a webhook to an address inside was refused, one to an address outside was tried, with a secret that was shown once
    assert "goes to a global address" in seen["refusedHook"]
    assert seen["hookSecret"].startswith("whsec_")
    assert "after 1 try" in seen["hookTold"]
