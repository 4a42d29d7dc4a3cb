"""From what a requestor names to where each item's bytes lie; and everything that does not fit, told at once."""

import io
import json
import zipfile
from dataclasses import dataclass

import numpy as np
import pytest

from fabric.catalog.card import complete_card
from fabric.codecs.tensor import json_of_tensor
from fabric.core.errors import EmptyJob, Invalid, InvalidInput, NotFound, TooLarge
from fabric.core.ids import FileId, UserId
from fabric.core.settings import LimitSettings, Settings
from fabric.files import files
from fabric.files.files import FileStart
from fabric.jobs.job import InputSpec, JobSpec
from fabric.jobs.resolve import ResolvedJob, resolve_job
from fabric.jobs.split import slice_inputs
from fabric.storage.local import LocalStore
from tests.fixtures.jobs import Workbench

X = np.arange(20, dtype=np.float32).reshape(10, 2)
IMAGE_CARD = {
    "image": {
        "codec": "image",
        "resize": None,
        "crop": None,
        "color": "rgb",
        "layout": "nchw",
        "scale": 1.0,
        "mean": None,
        "std": None,
    }
}
IMAGE_INPUT = {"image": {"dtype": "float32", "shape": [None, 3, 8, 8]}}


@dataclass
class Requestor:
    """Uploads and asks, as the user of the bench."""

    bench: Workbench
    store: LocalStore
    settings: Settings

    async def upload(self, *contents: tuple[str, bytes], owner: UserId | None = None) -> list[FileId]:
        async def incoming():
            for name, content in contents:
                yield FileStart(name, "application/octet-stream")
                yield content

        received = await files.receive_upload(self.bench.database, self.store, incoming(), size_max=10**8, files_max=1000)
        async with self.bench.database.transaction() as tx:
            return [file.id for file in await files.record_upload(tx, owner or self.bench.owner, received)]

    async def resolve(self, *inputs: InputSpec, model: str = "m", **changes) -> ResolvedJob:
        spec = JobSpec(model=model, inputs=inputs, request={}, **changes)
        return await resolve_job(self.bench.database, self.store, self.settings, self.bench.owner, spec)

    async def rows(self, resolved: ResolvedJob, name: str, start: int, count: int) -> np.ndarray:
        """The bytes that a subtask would fetch, as an array."""
        (sliced,) = [s for s in slice_inputs(resolved.inputs, start, count) if s.name == name]
        data = [p.data if p.data is not None else await self.store.read(p.key, p.offset, p.length) for p in sliced.parts]
        first = sliced.parts[0]
        return np.frombuffer(b"".join(data), dtype=first.dtype).reshape(-1, *first.shape)


@pytest.fixture
def requestor(bench: Workbench, disk_store: LocalStore, settings: Settings) -> Requestor:
    return Requestor(bench, disk_store, settings)


def npy(array: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def npz(save=np.savez, **arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.npy", npy(X)),
        ("x.npy", npy(np.asfortranarray(X))),
        ("all.npz", npz(x=X, other=X + 1)),
        ("one.npz", npz(whatever=X)),
        ("packed.npz", npz(np.savez_compressed, x=X, other=X + 1)),
        ("fortran.npz", npz(x=np.asfortranarray(X), other=X)),
        ("x.json", json.dumps(json_of_tensor("x", X)).encode()),
        ("noname", npy(X)),
    ],
)
async def test_every_form_of_an_array_gives_the_same_items(requestor: Requestor, name: str, content: bytes):
    (file,) = await requestor.upload((name, content))
    resolved = await requestor.resolve(InputSpec("x", (file,)))
    assert resolved.items_total == 10
    np.testing.assert_array_equal(await requestor.rows(resolved, "x", 3, 4), X[3:7])


async def test_an_array_in_place_is_not_copied_and_another_is_laid_out_once(requestor: Requestor):
    plain, fortran = [(await requestor.upload(("x.npy", npy(a))))[0] for a in (X, np.asfortranarray(X))]
    assert (await requestor.resolve(InputSpec("x", (plain,)))).relaid == ()
    assert len((await requestor.resolve(InputSpec("x", (fortran,)))).relaid) == 1


async def test_a_tensor_in_the_body_rides_inline(requestor: Requestor):
    resolved = await requestor.resolve(InputSpec("x", tensor=json_of_tensor("x", X)))
    (part,) = resolved.inputs["x"]["parts"]
    assert "key" not in part
    np.testing.assert_array_equal(await requestor.rows(resolved, "x", 9, 1), X[9:])
    json.dumps(resolved.inputs)


async def test_several_files_are_one_input_in_the_order_given(requestor: Requestor):
    ids = await requestor.upload(("b.npy", npy(X[6:])), ("a.npy", npy(X[:6])))
    resolved = await requestor.resolve(InputSpec("x", (ids[1], ids[0])))
    np.testing.assert_array_equal(await requestor.rows(resolved, "x", 0, 10), X)


async def test_images_of_one_upload_lie_together_and_are_one_part(requestor: Requestor):
    await requestor.bench.model(name="vision", inputs=IMAGE_INPUT, card=IMAGE_CARD)
    contents = [b"first", b"second!", b"third"]
    ids = await requestor.upload(*[(f"{n}.png", c) for n, c in enumerate(contents)])
    (alone,) = await requestor.upload(("alone.png", b"4th"))
    resolved = await requestor.resolve(InputSpec("image", (*ids, alone, ids[0])), model="vision")
    assert [part["sizes"] for part in resolved.inputs["image"]["parts"]] == [[5, 7, 5], [3], [5]]
    (sliced,) = slice_inputs(resolved.inputs, 1, 3)
    read = [await requestor.store.read(p.key, p.offset, p.length) for p in sliced.parts]
    assert read == [b"second!third", b"4th"]


async def test_a_broadcast_input_goes_whole_and_counts_no_items(requestor: Requestor):
    inputs = {"x": {"dtype": "float32", "shape": [None, 2]}, "w": {"dtype": "float32", "shape": [3]}}
    await requestor.bench.model(name="two", inputs=inputs)
    x, w = await requestor.upload(("x.npy", npy(X)), ("w.npy", npy(np.ones(3, np.float32))))
    resolved = await requestor.resolve(InputSpec("x", (x,)), InputSpec("w", (w,), broadcast=True), model="two")
    assert resolved.items_total == 10
    (part,) = resolved.inputs["w"]["parts"]
    assert (part["items"], part["row_bytes"], part["shape"]) == (1, 12, [3])
    with pytest.raises(EmptyJob):
        await requestor.resolve(InputSpec("x", (x,), broadcast=True), InputSpec("w", (w,), broadcast=True), model="two")


BAD = {
    "unknown name": (InputSpec("y", tensor=json_of_tensor("y", X)), ["inputs", 0, "name"], "no input 'y'"),
    "wrong shape": (InputSpec("x", tensor=json_of_tensor("x", X.reshape(4, 5))), ["inputs", 0, "tensor"], "shape"),
    "wrong rank": (InputSpec("x", tensor=json_of_tensor("x", X.reshape(-1))), ["inputs", 0, "tensor"], "shape"),
    "a number": (InputSpec("x", tensor={"datatype": "FP32", "shape": [], "data": [1.0]}), ["inputs", 0, "tensor"], "axis 0"),
    "ragged data": (InputSpec("x", tensor={"datatype": "FP32", "shape": [2, 2], "data": [[1], [1, 2]]}), ["inputs", 0], None),
}


@pytest.mark.parametrize("case", BAD)
async def test_what_does_not_fit_the_model_is_refused_and_says_where(requestor: Requestor, case: str):
    spec, loc, words = BAD[case]
    with pytest.raises(InvalidInput) as caught:
        await requestor.resolve(spec)
    errors = caught.value.fields["errors"]
    assert loc in [error["loc"] for error in errors]
    assert words is None or any(words in error["msg"] for error in errors)


async def test_a_wrong_dtype_is_refused(requestor: Requestor):
    await requestor.bench.model(name="ints", inputs={"x": {"dtype": "int64", "shape": [None, 2]}})
    with pytest.raises(InvalidInput) as caught:
        await requestor.resolve(InputSpec("x", tensor=json_of_tensor("x", X)), model="ints")
    assert "dtype float32" in caught.value.fields["errors"][0]["msg"]


async def test_everything_that_is_wrong_is_told_at_once(requestor: Requestor):
    inputs = {name: {"dtype": "float32", "shape": [None, 2]} for name in ("a", "b", "c")}
    await requestor.bench.model(name="three", inputs=inputs)
    (broken,) = await requestor.upload(("broken.npy", npy(X)[:-1]))
    with pytest.raises(InvalidInput) as caught:
        await requestor.resolve(
            InputSpec("a", tensor=json_of_tensor("a", X.reshape(4, 5))), InputSpec("b", (broken,)), InputSpec("d", (broken,)), model="three"
        )  # fmt: skip
    assert [error["loc"] for error in caught.value.fields["errors"]] == [
        ["inputs", 2, "name"], ["inputs"], ["inputs", 0, "tensor"], ["inputs", 1, "file"],
    ]  # fmt: skip


async def test_inputs_with_different_numbers_of_items_are_refused(requestor: Requestor):
    await requestor.bench.model(name="pair", inputs={name: {"dtype": "float32", "shape": [None, 2]} for name in ("a", "b")})
    given = [InputSpec("a", tensor=json_of_tensor("a", X)), InputSpec("b", tensor=json_of_tensor("b", X[:9]))]
    with pytest.raises(InvalidInput) as caught:
        await requestor.resolve(*given, model="pair")
    assert "a: 10, b: 9" in caught.value.fields["errors"][0]["msg"]
    with pytest.raises(InvalidInput):
        await requestor.resolve(given[0], given[0], model="pair")


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\x93NUMPY", b"PK\x03\x04 not a zip", npy(np.array(["text"])), b"{not json", b'{"datatype": 1}']
)
async def test_a_file_that_holds_no_array_is_refused(requestor: Requestor, content: bytes):
    (file,) = await requestor.upload(("x.bin", content))
    with pytest.raises(InvalidInput) as caught:
        await requestor.resolve(InputSpec("x", (file,)))
    assert caught.value.fields["errors"][0]["loc"][:2] == ["inputs", 0]


async def test_an_array_that_a_file_does_not_have_is_refused_with_what_it_has(requestor: Requestor):
    (file,) = await requestor.upload(("x.npz", npz(y=X, z=X)))
    with pytest.raises(InvalidInput) as caught:
        await requestor.resolve(InputSpec("x", (file,)))
    assert "y, z" in caught.value.fields["errors"][0]["msg"]


async def test_images_and_tensors_are_not_mixed_up(requestor: Requestor):
    await requestor.bench.model(name="vision", inputs=IMAGE_INPUT, card=IMAGE_CARD)
    (array,) = await requestor.upload(("x.npy", npy(X)))
    for wrong in (InputSpec("image", tensor=json_of_tensor("image", X)), InputSpec("image", (array,))):
        with pytest.raises(InvalidInput):
            await requestor.resolve(wrong, model="vision")


@pytest.mark.parametrize("spec", [InputSpec("x", tensor=json_of_tensor("x", X[:0])), InputSpec("x", ())])
async def test_a_job_without_items_is_refused(requestor: Requestor, spec: InputSpec):
    with pytest.raises(EmptyJob):
        await requestor.resolve(spec)


async def test_a_job_of_one_item_is_fine(requestor: Requestor):
    resolved = await requestor.resolve(InputSpec("x", tensor=json_of_tensor("x", X[:1])))
    assert (resolved.items_total, resolved.items_per_subtask) == (1, 1)


async def test_subtasks_of_a_fixed_batch_are_multiples_of_it(requestor: Requestor):
    await requestor.bench.model(name="fixed", batch_fixed=True, batch_items_max=4, item_us=1e6)
    resolved = await requestor.resolve(InputSpec("x", tensor=json_of_tensor("x", X)), model="fixed")
    assert resolved.items_per_subtask == 4


async def test_limits_are_kept(requestor: Requestor):
    given = InputSpec("x", tensor=json_of_tensor("x", X))
    small = requestor.settings.limits.model_dump()
    requestor.settings = requestor.settings.model_copy(update={"limits": LimitSettings(**small | {"items_per_job_max": 9})})
    with pytest.raises(TooLarge):
        await requestor.resolve(given)
    requestor.settings = requestor.settings.model_copy(update={"limits": LimitSettings(**small | {"subtasks_per_job_max": 5})})
    with pytest.raises(Invalid):
        await requestor.resolve(given, items_per_subtask=1)
    requestor.settings = requestor.settings.model_copy(update={"limits": LimitSettings(**small | {"inline_input_bytes_max": 79})})
    with pytest.raises(InvalidInput):
        await requestor.resolve(given)


async def test_what_belongs_to_somebody_else_does_not_exist(requestor: Requestor):
    stranger = await requestor.bench.user()
    (file,) = await requestor.upload(("x.npy", npy(X)), owner=stranger)
    for spec in (InputSpec("x", (file,)), InputSpec("x", (FileId.new(),))):
        with pytest.raises(NotFound):
            await requestor.resolve(spec)
    await requestor.bench.model(stranger, name="theirs")
    for model in ("theirs", "nothing", "mdv_0"):
        with pytest.raises(NotFound):
            await requestor.resolve(InputSpec("x", tensor=json_of_tensor("x", X)), model=model)


async def test_an_upload_that_has_not_arrived_cannot_be_used(requestor: Requestor):
    async with requestor.bench.database.transaction() as tx:
        pending = await files.begin_signed_upload(
            tx, requestor.store, requestor.bench.owner, FileStart("x.npy", "application/octet-stream"), size=208, size_max=1000, expires_s=60
        )  # fmt: skip
    with pytest.raises(InvalidInput) as caught:
        await requestor.resolve(InputSpec("x", (pending.file.id,)))
    assert "not been uploaded" in caught.value.fields["errors"][0]["msg"]


TEXTS = {"x": {"dtype": "string", "shape": [None]}}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("lines.txt", "\ufeffone\r\ntwö\r\n\r\nfour\r\n".encode()),
        ("list.json", json.dumps(["one", "twö", "", "four"]).encode()),
        ("list.jsonl", b'"one"\n"tw\\u00f6"\n""\n"four"\n'),
        ("tensor.json", json.dumps(json_of_tensor("x", np.array(["one", "twö", "", "four"]))).encode()),
        ("array.npy", npy(np.array(["one", "twö", "", "four"]))),
        ("array.npz", npz(np.savez_compressed, x=np.array(["one", "twö", "", "four"]))),
    ],
)
async def test_texts_of_every_file_are_items(requestor: Requestor, name: str, content: bytes):
    await requestor.bench.model(name="texts", inputs=TEXTS)
    (file,) = await requestor.upload((name, content))
    resolved = await requestor.resolve(InputSpec("x", (file,)), model="texts")
    assert resolved.items_total == 4
    (sliced,) = slice_inputs(resolved.inputs, 1, 3)
    (part,) = sliced.parts
    data = await requestor.store.read(part.key, part.offset, part.length)
    ends = np.cumsum(part.sizes)
    assert [data[end - size : end].decode() for end, size in zip(ends, part.sizes, strict=True)] == ["twö", "", "four"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"", "empty"), ("a.txt", b"one\ntw\xff\n", "line 2"), ("a.json", b"[1, 2]", "texts"), ("a.json", b"{", "not JSON"),
        ("a.jsonl", b'"a"\n{', "not JSON"), ("a.json", b'[["a"], ["b", "c"], []]', "differing"), ("a.npy", npy(X), "texts are expected"),
        ("a.npy", npy(np.array(["text"]))[:-2], "whole"),
    ],
)  # fmt: skip
async def test_files_that_hold_no_texts_are_refused_in_words(requestor: Requestor, name: str, content: bytes, words: str):
    await requestor.bench.model(name="texts", inputs=TEXTS)
    (file,) = await requestor.upload((name, content))
    with pytest.raises(InvalidInput) as refused:
        await requestor.resolve(InputSpec("x", (file,)), model="texts")
    assert words in str(refused.value.fields["errors"])


async def test_numbers_may_be_a_plain_list_and_texts_are_none(requestor: Requestor):
    plain, lines, texts = await requestor.upload(
        ("a.json", json.dumps(X.tolist()).encode()), ("a.jsonl", b"[1, 2]\n[3, 4]\n"), ("a.npy", npy(np.array(["a"])))
    )
    for file, wanted in ((plain, X), (lines, [[1, 2], [3, 4]])):
        resolved = await requestor.resolve(InputSpec("x", (file,)))
        np.testing.assert_array_equal(await requestor.rows(resolved, "x", 0, resolved.items_total), wanted)
    with pytest.raises(InvalidInput):
        await requestor.resolve(InputSpec("x", (texts,)))


async def test_the_files_of_a_zip_are_items_beside_others(requestor: Requestor):
    await requestor.bench.model(name="vision", card=IMAGE_CARD, inputs=IMAGE_INPUT)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("1.png", b"first")
        made.writestr("2.png", b"second")
    first, packed = await requestor.upload(("0.png", b"before"), ("many.zip", out.getvalue()))
    resolved = await requestor.resolve(InputSpec("image", (first, packed)), model="vision")
    assert resolved.items_total == 3 and len(resolved.relaid) == 1
    (sliced,) = slice_inputs(resolved.inputs, 0, 3)
    assert b"".join([await requestor.store.read(p.key, p.offset, p.length) for p in sliced.parts]) == b"beforefirstsecond"
    (bad,) = await requestor.upload(("bad.zip", out.getvalue()[:-30]))
    with pytest.raises(InvalidInput):
        await requestor.resolve(InputSpec("image", (bad,)), model="vision")


async def test_a_derived_input_is_not_given(requestor: Requestor):
    inputs = {name: {"dtype": "int64", "shape": [None, None]} for name in ("input_ids", "attention_mask")}
    card = complete_card({"inputs": {"input_ids": {"codec": "text"}}}, inputs, {"y": {"dtype": "float32", "shape": [None, 2]}})
    await requestor.bench.model(name="tokens", card=card["inputs"], inputs=inputs)
    texts = InputSpec("input_ids", tensor=json_of_tensor("input_ids", np.array(["a", "b"])))
    assert (await requestor.resolve(texts, model="tokens")).items_total == 2
    with pytest.raises(InvalidInput) as refused:
        await requestor.resolve(
            texts, InputSpec("attention_mask", tensor=json_of_tensor("m", np.ones((2, 2), np.int64))), model="tokens"
        )
    assert "comes of 'input_ids'" in str(refused.value.fields["errors"])
