"""Results: outputs of subtasks, here or in objects, joined in input order without a merge step."""

import io
import json
import zipfile
from collections.abc import Sequence

import numpy as np
import pytest

from fabric.client.streams import PART_HEADER
from fabric.codecs.frame import decode_frame, encode_frame
from fabric.core.errors import Conflict, NotFound, Ragged, TooLarge
from fabric.core.ids import JobId
from fabric.jobs import downloads, results
from fabric.jobs.job import Leased
from fabric.storage.local import LocalStore
from tests.fixtures.jobs import Workbench, completion_of

OUTPUTS = {"y": {"dtype": "float32", "shape": [None, 2]}, "label": {"dtype": "int64", "shape": [None]}}


@pytest.fixture
def lab(bench: Workbench, disk_store: LocalStore) -> "Lab":
    return Lab(bench, disk_store)


class Lab:
    """Finishes subtasks with outputs that tell which item they belong to."""

    def __init__(self, bench: Workbench, store: LocalStore) -> None:
        self.bench, self.store = bench, store

    async def job(self, items: int, per_subtask: int, outputs: dict = OUTPUTS) -> JobId:
        self.bench.version = await self.bench.model(name=f"m{items}", outputs=outputs)
        self.provider = await self.bench.provider()
        return await self.bench.job(items, per_subtask)

    async def finish(self, leased: Sequence[Leased], *, failed: Sequence[int] = (), stored: bool = False, width: int = 2) -> None:
        completions = []
        for lease in leased:
            items = [i for i in range(lease.item_start, lease.item_start + lease.item_count) if i not in failed]
            errors = tuple(
                (i, "corrupt_image", "") for i in failed if lease.item_start <= i < lease.item_start + lease.item_count
            )
            index = np.array(items, dtype=np.int64)
            frame = encode_frame({"y": np.repeat(index[:, None], width, axis=1).astype(np.float32), "label": index})
            place: dict = {"output": frame}
            if stored:
                key = f"outputs/{lease.subtask_id.hex}"
                await self.store.put_bytes(key, frame)
                place = {"output": None, "output_key": key, "output_size": len(frame), "output_sha256": bytes(32)}
            completions.append(completion_of(lease, item_errors=errors, **(place if items else {"output": None})))
        assert {answer.status for answer in await self.bench.settle(completions)} == {"done"}

    async def npy(self, job: JobId, name: str) -> np.ndarray:
        stream = await results.stream_output(self.bench.database, self.store, await self.bench.shown(job), name)
        content = b"".join([chunk async for chunk in stream.chunks])
        assert len(content) == stream.total_bytes
        return np.load(io.BytesIO(content))

    async def parts(self, job: JobId) -> list[tuple[int, int, dict[str, np.ndarray]]]:
        content = b"".join([chunk async for chunk in results.stream_parts(self.bench.database, self.store, job)])
        parts, at = [], 0
        while at < len(content):
            start, count, size = PART_HEADER.unpack_from(content, at)
            at += PART_HEADER.size
            parts.append((start, count, decode_frame(content[at : at + size])))
            at += size
        return parts


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("items", [1, 10, 300])
async def test_results_come_in_input_order_wherever_they_lie(lab: Lab, stored: bool, items: int):
    job = await lab.job(items, 3 if items < 300 else 2)
    leased = await lab.bench.claim(job, lab.provider, items)
    await lab.finish(leased[::-1], stored=stored)
    np.testing.assert_array_equal((await lab.npy(job, "y"))[:, 1], np.arange(items))
    np.testing.assert_array_equal(await lab.npy(job, "label"), np.arange(items))
    parts = await lab.parts(job)
    assert [start for start, _, _ in parts] == sorted(start for start, _, _ in parts)
    np.testing.assert_array_equal(np.concatenate([frame["label"] for _, _, frame in parts]), np.arange(items))


@pytest.mark.parametrize("stored", [False, True])
async def test_rows_of_failed_items_are_blank_and_the_others_stay_in_place(lab: Lab, stored: bool):
    job = await lab.job(10, 4)
    await lab.finish(await lab.bench.claim(job, lab.provider, 9), failed=[1, 4, 5, 6, 7], stored=stored)
    y, label = await lab.npy(job, "y"), await lab.npy(job, "label")
    assert np.isnan(y[:, 0]).tolist() == [i in {1, 4, 5, 6, 7} for i in range(10)]
    assert label.tolist() == [0, 0, 2, 3, 0, 0, 0, 0, 8, 9]
    assert [(start, count, len(frame["y"])) for start, count, frame in await lab.parts(job)] == [(0, 4, 3), (8, 2, 2)]
    async with lab.bench.database.reading() as reader:
        manifest = await results.manifest(reader, await lab.bench.shown(job))
    assert manifest["failed_items"] == [1, 4, 5, 6, 7]
    assert manifest["errors"][0] == {"index": 1, "code": "corrupt_image", "detail": ""}
    assert (manifest["complete"], manifest["items_done"]) == (True, 5)
    assert manifest["outputs"][0] == {"name": "y", "dtype": "float32", "shape": [10, 2]}


async def test_while_a_job_runs_its_results_are_what_is_done_so_far(lab: Lab):
    job = await lab.job(9, 3)
    with pytest.raises(Conflict):
        await lab.npy(job, "y")
    leased = await lab.bench.claim(job, lab.provider, 3)
    await lab.finish(leased[1:2])
    assert np.isnan((await lab.npy(job, "y"))[:, 0]).tolist() == [True] * 3 + [False] * 3 + [True] * 3
    assert [start for start, _, _ in await lab.parts(job)] == [3]
    async with lab.bench.database.reading() as reader:
        assert not (await results.manifest(reader, await lab.bench.shown(job)))["complete"]


async def test_a_large_gap_is_filled_in_pieces(lab: Lab):
    job = await lab.job(200_000, 50_000)
    leased = await lab.bench.claim(job, lab.provider, 4)
    await lab.finish([leased[3]])
    y = await lab.npy(job, "y")
    assert np.isnan(y[:150_000]).all() and not np.isnan(y[150_000:]).any()


async def test_items_of_different_shapes_are_no_single_array(lab: Lab):
    job = await lab.job(4, 2, {"y": {"dtype": "float32", "shape": [None, None]}, "label": OUTPUTS["label"]})
    first, second = await lab.bench.claim(job, lab.provider, 2)
    await lab.finish([first], width=2)
    assert (await lab.npy(job, "y")).shape == (4, 2)
    await lab.finish([second], width=3)
    with pytest.raises(Ragged):
        await lab.npy(job, "y")
    assert [frame["y"].shape for _, _, frame in await lab.parts(job)] == [(2, 2), (2, 3)]
    assert (await lab.npy(job, "label")).tolist() == [0, 1, 2, 3]


async def test_an_output_that_the_model_has_not_is_not_found(lab: Lab):
    job = await lab.job(1, 1)
    with pytest.raises(NotFound):
        await lab.npy(job, "z")


@pytest.mark.parametrize("stored", [False, True])
async def test_all_results_come_as_one_file_and_failed_items_are_told_apart(lab: Lab, stored: bool):
    job = await lab.job(10, 4)
    leased = await lab.bench.claim(job, lab.provider, 9)
    await lab.finish(leased[:2], failed=[1, 4, 5, 6, 7], stored=stored)
    shown = await lab.bench.shown(job)
    database, store = lab.bench.database, lab.store

    whole = np.load(io.BytesIO(b"".join([c async for c in await downloads.stream_npz(database, store, shown)])))
    assert whole["failed_items"].tolist() == [1, 4, 5, 6, 7]
    assert whole["label"].tolist() == [0, 0, 2, 3, 0, 0, 0, 0, 0, 0]

    document = json.loads(b"".join([c async for c in downloads.stream_json(database, store, shown)]))
    assert (document["status"], document["error"], document["items_total"]) == (shown.status, None, 10)
    assert [item["index"] for item in document["items"]] == list(range(10))
    assert document["items"][3] == {"index": 3, "outputs": {"y": [3.0, 3.0], "label": 3}, "error": None}
    assert document["items"][4] == {"index": 4, "outputs": None, "error": {"code": "corrupt_image", "detail": ""}}
    assert document["items"][9] == {"index": 9, "outputs": None, "error": None}  # not done yet
    one = json.loads(b"".join([c async for c in downloads.stream_json(database, store, shown, 2)]))
    assert one["items"] == [document["items"][2]]

    archive = zipfile.ZipFile(io.BytesIO(b"".join([c async for c in downloads.stream_zip(database, store, shown)])))
    assert archive.testzip() is None
    assert sorted(archive.namelist()) == sorted(
        [f"{name}/00000{i}.npy" for name in ("y", "label") for i in (0, 2, 3)] + ["errors.json"]
    )
    assert [item["index"] for item in json.loads(archive.read("errors.json"))["items"]] == [1, 4, 5, 6, 7]


async def test_what_is_too_much_for_one_file_is_refused_before_it_begins(lab: Lab):
    job = await lab.job(10, 4)
    await lab.finish(await lab.bench.claim(job, lab.provider, 9))
    shown = await lab.bench.shown(job)
    await downloads.check_size(lab.bench.database, shown, downloads.JSON_BYTES_MAX)
    with pytest.raises(TooLarge, match="parts"):
        await downloads.check_size(lab.bench.database, shown, 100)
    with pytest.raises(TooLarge, match="files"):
        downloads.check_zip_files(shown, downloads.ZIP_FILES_MAX)


async def test_texts_are_an_array_of_fixed_width_and_never_a_pickle(lab: Lab):
    job = await lab.job(3, 3, {"y": {"dtype": "string", "shape": [None]}})
    (lease,) = await lab.bench.claim(job, lab.provider, 1)
    frame = encode_frame({"y": np.array(["a", "übung"], dtype=object)})
    assert (await lab.bench.settle([completion_of(lease, output=frame, item_errors=((1, "corrupt_text", ""),))]))[
        0
    ].status == "done"
    npy = await lab.npy(job, "y")
    assert (npy.tolist(), npy.dtype.kind) == (["a", "", "übung"], "U")
