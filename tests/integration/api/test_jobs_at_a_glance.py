"""A job in few numbers however large it is, what it was asked for, a card for an existing model, and what an item costs where."""

import pytest
from sqlalchemy import text

from fabric.core.ids import JobId
from fabric.jobs import backlog, queue, timeline
from fabric.marketplace.store import open_offers
from tests.fixtures.desk import BODY, JOBS, Desk
from tests.fixtures.jobs import RATE, completion_of
from tests.fixtures.onnx_models import affine
from tests.integration.api.test_models_over_http import MODELS, upload

TRIED = text("""
    INSERT INTO attempts (id, subtask_id, job_id, fence, order_id, provider_id, slot, outcome, leased_at, finished_at, billed_us)
    SELECT uuidv7(), s.id, s.job_id, n, uuidv7(), :provider, n % 2, 'lost', now() + n * interval '1 ms', now() + (n + 1) * interval '1 ms', 7
      FROM subtasks AS s, generate_series(1, :tries) AS n WHERE s.job_id = :job AND s.position = 0
""")


async def glance(desk: Desk, job: str, what: str) -> dict:
    answer = await desk.get(f"{JOBS}/{job}/{what}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_timeline_shows_every_try_of_a_small_job_and_what_runs_now(desk: Desk):
    # Given a job of which one part is done, one failed and one runs
    job = await desk.submit(split={"items_per_subtask": 4})
    assert (await glance(desk, job, "timeline")) == {
        "job_id": job, "begins_at": None, "ends_at": None, "tries": 0, "lanes_total": 0, "exact": True, "lanes": [],
    }  # fmt: skip
    good, bad, _ = await desk.bench.claim(JobId.parse(job), desk.machine, 3)
    await desk.bench.settle([completion_of(good, billed_us=10_000)])
    await desk.bench.give_back([bad], code="out_of_memory")
    # Then each is a bar of its own on the lane of its slot, with what it cost
    shown = await glance(desk, job, "timeline")
    (lane,) = shown["lanes"]
    assert (shown["tries"], shown["exact"], lane["provider_id"], lane["slot"]) == (3, True, str(desk.machine), 0)
    bars = {span["outcome"]: (span["item_start"], span["item_end"], span["tries"]) for span in lane["spans"]}
    assert bars == {"done": (0, 4, 1), "failed": (4, 8, 1), "leased": (8, 10, 1)}
    paid = next(span for span in lane["spans"] if span["outcome"] == "done")
    assert (paid["seconds"], paid["gross"]["usd_nanos"]) == (0.01, RATE * 10_000 // 3_600_000_000)


async def test_a_timeline_of_a_large_job_stays_small_and_loses_nothing(desk: Desk):
    # Given a job with more tries than anybody can tell apart
    job, tries = await desk.submit(), 3 * timeline.EXACT_TRIES_MAX
    async with desk.bench.database.transaction() as tx:
        await tx.execute(TRIED, {"provider": desk.machine, "job": JobId.parse(job), "tries": tries})
    shown = await glance(desk, job, "timeline")
    # Then neighbours are one bar, and together they are still all of it
    spans = [span for lane in shown["lanes"] for span in lane["spans"]]
    assert (shown["exact"], shown["tries"], [lane["tries"] for lane in shown["lanes"]]) == (False, tries, [tries / 2] * 2)
    assert len(spans) <= timeline.MERGED_SPANS + 2 * len(shown["lanes"])
    assert sum(span["tries"] for span in spans) == tries
    assert sum(span["seconds"] for span in spans) == pytest.approx(7e-6 * tries)
    assert {span["item_start"] for span in spans} == {None}


async def test_what_a_job_was_asked_for_makes_the_same_job_again(desk: Desk):
    job = await desk.submit(labels={"sweep": "7"}, budget_usd="0.5")
    said = await glance(desk, job, "request")
    assert said["model"].endswith(":1")
    assert said["request"] == BODY | {"labels": {"sweep": "7"}, "budget_usd": "0.5"}
    again = await desk.post(said["request"])
    assert again.status_code == 201
    assert again.json()["progress"]["items_total"] == 10


async def test_another_card_makes_the_next_version_of_the_same_file(api, alice, bob):
    # Given a model
    first = (await upload(api, alice, affine(), name="mine")).json()
    # When its owner declares it differently
    card = {"description": "doubled", "inputs": {name: {"codec": "tensor", "scale": 2.0} for name in first["inputs"]}}
    answer = await api.post(f"{MODELS}/mine/versions", json={"card": card}, headers=alice.headers)
    # Then that is a version of its own, with the same bytes, and the first stays as it was
    assert answer.status_code == 201, answer.text
    second = answer.json()
    assert (second["version"], second["sha256"], second["description"]) == (2, first["sha256"], "doubled")
    assert {entry["scale"] for entry in second["card"]["inputs"].values()} == {2.0}
    assert (await api.get(f"{MODELS}/mine:1", headers=alice.headers)).json()["card"] == first["card"]


@pytest.mark.parametrize(
    ("body", "status"), [({"card": {"inputs": {"nothing": {"codec": "tensor"}}}}, 422), ({"card": {}, "of_version": 9}, 404)]
)
async def test_a_card_that_does_not_fit_or_a_version_that_is_not_there_changes_nothing(api, alice, body, status):
    await upload(api, alice, affine(), name="mine")
    assert (await api.post(f"{MODELS}/mine/versions", json=body, headers=alice.headers)).status_code == status
    assert (await api.get(f"{MODELS}/mine", headers=alice.headers)).json()["version"] == 1


async def test_a_public_model_gets_no_card_of_somebody_else(api, alice, bob):
    await upload(api, alice, affine(), name="mine")
    await api.patch(f"{MODELS}/mine", json={"visibility": "public"}, headers=alice.headers)
    assert (await api.post(f"{MODELS}/mine/versions", json={"card": {}}, headers=bob.headers)).status_code == 404


async def test_offers_say_what_an_item_of_a_model_costs_and_the_cheapest_for_it_comes_first(desk: Desk):
    # Given, beside a slot, one that asks for twice as much but is five times as fast
    quick = await desk.bench.provider(rate=2 * RATE, benchmark_runs_per_s=5 * 4500.0)
    answer = await desk.get("/api/v1/marketplace/offers", model=BODY["model"])
    assert answer.status_code == 200, answer.text
    first, second = answer.json()["data"]
    assert first["provider_id"] == str(quick)
    assert first["price_per_hour"]["usd_nanos"] > second["price_per_hour"]["usd_nanos"]
    assert first["item"]["price_per_million"]["usd_nanos"] < second["item"]["price_per_million"]["usd_nanos"]
    assert first["item"]["fits"]
    # And without a model it is the hour that counts, as ever
    plain = (await desk.get("/api/v1/marketplace/offers")).json()["data"]
    assert [offer["provider_id"] for offer in plain] == [second["provider_id"], first["provider_id"]]
    assert plain[0]["item"] is None


async def test_a_price_counts_the_slots_that_planning_would_take_and_no_runtime_that_is_too_old(desk: Desk, owner_connection):
    # Given, beside a slot, a cheaper one whose runtime cannot load the model
    old = await desk.bench.provider(rate=RATE // 2)
    await owner_connection.execute(
        'UPDATE providers SET capabilities = \'{"opset_max": 16, "ir_version_max": 10}\' WHERE id = %s', [old]
    )
    offers = (await desk.get("/api/v1/marketplace/offers", model=BODY["model"])).json()["data"]
    quote = (await desk.post({"model": BODY["model"], "items": 10}, "/api/v1/quotes")).json()
    # Then marketplace and quote name the other one alone, at its rate
    assert [offer["provider_id"] for offer in offers] == [str(desk.machine)]
    assert (quote["capacity"]["slots_matching"], quote["rate_min"]["usd_nanos"], quote["rate_max"]["usd_nanos"]) == (
        1,
        RATE,
        RATE,
    )
    # And that is where a job that waits may go
    await desk.submit()
    async with desk.bench.database.reading() as reader:
        (work,) = backlog.waiting_work(await queue.open_jobs(reader))
        assert [str(offer.provider_id) for offer in await open_offers(reader) if work.accepts(offer)] == [str(desk.machine)]
