"""One machine dies in the middle of a job: only the time changes."""

import threading

import numpy as np
import pytest

from fabric.demo import squeezenet

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


def test_only_the_time_changes_when_a_provider_node_is_killed(fabric, client):
    # Given a job that both machines are working on
    onnx, images = squeezenet.build(), squeezenet.images(200)
    client.models.upload("squeezenet", onnx, card=squeezenet.CARD)
    job = client.submit("squeezenet", images)
    # When one provider's raylet is killed after some items are done
    killed = threading.Event()
    for _, _, data in job.events():
        if not killed.is_set() and data.get("items_done", 0) >= 20:
            fabric.kill_provider(0)
            killed.set()
    job.wait(200, progress=False)
    # Then every item is there and right
    assert killed.is_set()
    np.testing.assert_allclose(job.results()["logits"], squeezenet.run_locally(onnx, images)["logits"], atol=1e-4)
    # And each subtask was captured once, the lost attempts cost nothing
    subtasks = job.subtasks()
    attempts = [a for s in subtasks for a in s["attempts"]]
    done = [a for a in attempts if a["outcome"] == "done"]
    assert len(done) == len(subtasks)
    assert sum(a["gross"]["usd_nanos"] for a in done) == job.cost["captured"]["usd_nanos"]
    assert all(a["gross"]["usd_nanos"] == 0 for a in attempts if a["outcome"] != "done")
