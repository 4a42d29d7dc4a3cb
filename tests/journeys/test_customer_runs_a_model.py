"""A customer's first hour: real models, real inputs, two machines, and every nano-dollar accounted for."""

import hashlib
import http.client
import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from benchmarks.trivial import trivial_model
from fabric.client import Client, JobFailed, PartialResult
from fabric.client.errors import AlreadyFinished, EmptyJob, InsufficientFunds, InvalidInput, NotFound
from fabric.demo import digits, squeezenet

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


@pytest.fixture(scope="session")
def trained():
    return digits.train()


@pytest.fixture
def trivial(client):
    return client.models.upload("trivial", trivial_model())


def held_nanos(client: Client) -> int:
    return int(client.wallet.balance()["held"]["usd_nanos"])


def ran_on(machine_home: Path) -> list[dict]:
    """What a machine wrote down of the orders that it ran."""
    return [json.loads(line) for line in (machine_home / "logs" / "work.jsonl").read_text().splitlines()]


def test_held_out_scans_are_recognised_on_two_machines_and_paid_for_exactly(client, fabric, trained):
    # Given a classifier and held-out scans as PNG files
    client.models.upload("digits", trained.onnx, card=trained.card)
    files = client.files.upload_many(trained.images_png)
    before = client.wallet.balance()["available"]["usd_nanos"]

    # When they are submitted as one job
    job = client.submit("digits", files).wait(120, progress=False)

    # Then each machine has written down for its owner what it ran, and nothing of what was in it
    homes = [fabric.home.path / "providers" / number for number in ("1", "2")]
    model = hashlib.sha256(trained.onnx).hexdigest()
    assert sum(line["items"] for home in homes for line in ran_on(home) if line["model"] == model) >= len(files)

    # And every output equals a local run, in input order, and the classifier is good
    outputs, expected = job.results(), digits.run_locally(trained)
    for name, array in expected.items():
        np.testing.assert_allclose(outputs[name].reshape(array.shape), array, atol=1e-4)
    assert np.mean(outputs["label"].ravel() == trained.labels) > 0.9

    # And both machines worked and earned, and the wallet paid exactly what was captured
    cost = job.cost
    assert len(cost["by_provider"]) == 2
    assert job.facts["progress"]["subtasks_total"] >= 12
    earned = sum(p["earned"]["usd_nanos"] for p in cost["by_provider"])
    assert earned + cost["commission"]["usd_nanos"] == cost["captured"]["usd_nanos"] > 0
    assert cost["held"]["usd_nanos"] == cost["captured"]["usd_nanos"] + cost["released"]["usd_nanos"]
    assert before - client.wallet.balance()["available"]["usd_nanos"] == cost["captured"]["usd_nanos"]


def test_uint8_tensors_are_scaled_on_the_machine_and_answers_differ(client):
    onnx, images = squeezenet.build(), squeezenet.images(15)
    client.models.upload("squeezenet", onnx, card=squeezenet.CARD)
    job = client.submit("squeezenet", images, items_per_subtask=4).wait(120, progress=False)
    logits = job.results()["logits"]
    np.testing.assert_allclose(logits, squeezenet.run_locally(onnx, images)["logits"], atol=1e-4)
    assert len(np.unique(logits.round(3), axis=0)) == 15
    assert [s["item_count"] for s in job.subtasks()] == [4, 4, 4, 3]


def test_one_item_is_a_job(client, trivial):
    job = client.submit("trivial", np.array([[1, 2, 3, 4]], np.float32)).wait(60, progress=False)
    np.testing.assert_array_equal(job.result("y"), [[3, 5, 7, 9]])


def test_a_corrupt_image_among_good_ones_fails_alone(client, trained):
    # Given twenty scans of which the fourth is no image at all
    client.models.upload("digits", trained.onnx, card=trained.card)
    pngs = list(trained.images_png[:20])
    pngs[3] = b"\x89PNG\r\n\x1a\nnot really"
    # When they are submitted
    job = client.submit("digits", client.files.upload_many(pngs)).wait(120, progress=False)
    # Then the job succeeds with one failed item, the rest is delivered, and the job says so
    assert (job.facts["progress"]["items_done"], job.facts["progress"]["items_failed"]) == (19, 1)
    with pytest.raises(PartialResult) as caught:
        job.results()
    assert [e["index"] for e in caught.value.errors] == [3]
    masked = job.results(on_error="mask")["label"]
    expected = digits.run_locally(trained)["label"][:20]
    good = [i for i in range(20) if i != 3]
    np.testing.assert_array_equal(np.ma.getdata(masked).ravel()[good], expected.ravel()[good])
    assert np.ma.getmaskarray(masked).ravel()[3]


def test_the_same_job_submitted_twice_with_one_key_is_one_job(client, trivial):
    item = np.ones((3, 4), np.float32)
    first = client.submit("trivial", {"x": item}, idempotency_key="only-once")
    second = client.submit("trivial", {"x": item}, idempotency_key="only-once")
    assert first.id == second.id
    first.wait(60, progress=False)


def test_what_does_not_fit_the_model_is_refused_and_costs_nothing(client, trivial):
    client.models.upload("squeezenet", squeezenet.build(), card=squeezenet.CARD)
    before = client.wallet.balance()
    for model, wrong, why in [
        ("trivial", {"nosuch": np.ones((2, 4), np.float32)}, "no input 'nosuch'"),
        ("trivial", {"x": np.ones((2, 5), np.float32)}, "shape"),
        ("squeezenet", {"image": np.ones((1, 3, 224, 224), np.float32)}, "dtype float32 where uint8"),
    ]:
        with pytest.raises(InvalidInput) as caught:
            client.submit(model, wrong)
        assert why in str(caught.value)
    with pytest.raises((EmptyJob, InvalidInput)):
        client.submit("trivial", {"x": np.ones((0, 4), np.float32)})
    with pytest.raises(NotFound):
        client.submit("nosuchmodel", {"x": np.ones((2, 4), np.float32)})
    assert client.wallet.balance() == before


def test_without_credit_nothing_is_written(stranger):
    stranger.models.upload("trivial", trivial_model())
    with pytest.raises(InsufficientFunds):
        stranger.submit("trivial", {"x": np.ones((1, 4), np.float32)}, budget_usd="5")
    assert stranger.jobs.list() == []


def test_other_peoples_things_do_not_exist(client, stranger, trivial):
    job = client.submit("trivial", {"x": np.ones((1, 4), np.float32)}).wait(60, progress=False)
    with pytest.raises(NotFound):
        stranger.job(job.id)
    with pytest.raises(NotFound):
        stranger.models.get("trivial")
    file = client.files.upload(b"mine", name="mine.bin")
    with pytest.raises(NotFound):
        stranger.files.get(file["id"])


def test_a_job_that_no_machine_can_run_says_why_and_ends_at_its_deadline(client, trivial):
    # Given a job that asks for a region where nobody is
    job = client.submit("trivial", {"x": np.ones((2, 4), np.float32)}, requirements={"region": ["the-moon"]}, deadline_s=3)
    # When it waits, it says why
    reasons = [data.get("waiting_reason") for _, _, data in job.events()]
    assert "no_capacity" in reasons
    # Then it fails at the deadline and the whole hold is returned
    with pytest.raises(JobFailed) as caught:
        job.wait(30, progress=False)
    assert caught.value.job["error"]["code"] == "deadline_exceeded"
    assert held_nanos(client) == 0


def test_cancelling_returns_the_rest_and_cannot_be_done_twice(client, trivial):
    job = client.submit("trivial", {"x": np.ones((2, 4), np.float32)}, requirements={"region": ["the-moon"]})
    job.cancel()
    assert job.status == "cancelled"
    assert job.cost["captured"]["usd_nanos"] == 0
    assert held_nanos(client) == 0
    with pytest.raises(AlreadyFinished):
        job.cancel()


def test_an_owner_runs_on_the_own_machine_for_nothing_and_only_when_asked(fabric):
    # Given the owner of both machines, as a requestor
    with Client(fabric.url, fabric.owner_api_key) as owner:
        owner.models.upload("trivial", trivial_model())
        item = {"x": np.ones((2, 4), np.float32)}
        owner.wallet.top_up("1")
        # When the job does not ask for own machines, it waits
        waiting = owner.submit("trivial", item, deadline_s=3)
        with pytest.raises(JobFailed):
            waiting.wait(30, progress=False)
        # And when it does, it runs and costs nothing
        job = owner.submit("trivial", item, own_machines=True).wait(60, progress=False)
        assert job.cost["captured"]["usd_nanos"] == 0
        np.testing.assert_array_equal(job.result("y"), np.full((2, 4), 3, np.float32))


def test_an_upload_over_the_limit_is_refused_before_it_is_read(fabric):
    # Given an upload that is announced as ten terabytes
    host, port = fabric.url.removeprefix("http://").split(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=30)) as connection:
        connection.putrequest("POST", "/api/v1/files")
        connection.putheader("Authorization", f"Bearer {fabric.api_key}")
        connection.putheader("Content-Type", "application/octet-stream")
        connection.putheader("Content-Length", str(10**13))
        # When not one byte of it has been sent
        connection.endheaders()
        # Then it is refused already
        answer = connection.getresponse()
        assert answer.status == 413
        assert json.load(answer)["code"] == "too_large"
