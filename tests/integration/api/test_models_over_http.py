"""/api/v1/models over HTTP."""

import json

import httpx
import pytest

from fabric.core.settings import Settings
from tests.fixtures import media
from tests.fixtures.api import Person
from tests.fixtures.codec_bench import embedding_model
from tests.fixtures.hostile_models import branch, fill_bomb, loop_with_bomb
from tests.fixtures.onnx_models import affine, centred, convolution, slow

MODELS = "/api/v1/models"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"limits": settings.limits.model_copy(update={"model_bytes_max": 10_000})})


async def upload(
    api: httpx.AsyncClient, person: Person, content: bytes, name: str = "tiny", card: object = None, **headers: str
) -> httpx.Response:
    data = {"name": name} if card is None else {"name": name, "card": card if isinstance(card, str) else json.dumps(card)}
    files = {"file": ("model.onnx", content, "application/octet-stream")}
    return await api.post(MODELS, data=data, files=files, headers={**person.headers, **headers})


async def test_an_uploaded_model_says_what_it_is(api, alice):
    answer = await upload(api, alice, convolution(), card={"description": "a test", "inputs": {"image": {"codec": "image"}}})
    assert answer.status_code == 201
    model = answer.json()
    assert (model["name"], model["version"], model["visibility"], model["own"]) == ("tiny", 1, "private", True)
    assert model["inputs"] == {"image": {"dtype": "float32", "shape": [None, 3, 8, 8]}}
    assert model["outputs"] == {"y": {"dtype": "float32", "shape": [None, 4]}}
    assert model["card"]["inputs"]["image"]["layout"] == "nchw"
    assert (model["profile"]["batchable"], model["operators"]["Conv"], model["description"]) == (True, 1, "a test")
    assert model["bounds"]["operations"] > 2 * 4 * 6 * 6 * 27
    for reference in ("tiny", "tiny:1", model["id"], model["version_id"]):
        shown = (await api.get(f"{MODELS}/{reference}", headers=alice.headers)).json()
        assert shown.pop("now")["slots"] == 0
        assert {**shown, "now": None} == model


async def test_each_upload_is_the_next_version(api, alice):
    for content in (affine(), centred(), affine()):
        await upload(api, alice, content)
    assert (await api.get(f"{MODELS}/tiny", headers=alice.headers)).json()["version"] == 3
    second = (await api.get(f"{MODELS}/tiny/versions/2", headers=alice.headers)).json()
    assert second["profile"]["batchable"] is False
    first_page = (await api.get(f"{MODELS}/tiny/versions", params={"limit": 2}, headers=alice.headers)).json()
    rest = (await api.get(f"{MODELS}/tiny/versions", params={"cursor": first_page["next_cursor"]}, headers=alice.headers)).json()
    assert [version["version"] for version in first_page["data"] + rest["data"]] == [3, 2, 1]
    listed = (await api.get(MODELS, headers=alice.headers)).json()["data"]
    assert [(model["name"], model["version"]) for model in listed] == [("tiny", 3)]


async def test_what_is_no_model_is_refused_with_its_reason(api, alice):
    for content, reason in ((b"hello world", "not_onnx"), (b"", "not_onnx"), (affine()[:-7], "truncated")):
        answer = await upload(api, alice, content)
        problem = answer.json()
        assert (answer.status_code, problem["code"], problem["reason"]) == (422, "invalid_model", reason)
    assert (await api.get(f"{MODELS}/tiny", headers=alice.headers)).status_code == 404


async def test_a_refusal_says_which_node_of_the_graph_and_why(api, alice):
    problem = (await upload(api, alice, fill_bomb())).json()
    assert (problem["status"], problem["code"], problem["reason"]) == (422, "invalid_model", "too_large")
    assert problem["node"] == {"path": "graph", "index": 0, "name": "", "op_type": "ConstantOfShape"}
    assert problem["detail"].startswith("node 0 (ConstantOfShape): makes 'h', which has shape 550000000 and takes 2.0 GiB")


async def test_control_flow_is_refused_unless_the_operator_enabled_it(api, alice):
    problem = (await upload(api, alice, branch())).json()
    assert (problem["reason"], problem["node"]["op_type"]) == ("control_flow", "If")


class TestWithControlFlow:
    """A fabric whose operator enabled If, Loop and Scan."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        limits = settings.limits.model_copy(update={"model_control_flow": True, "model_bytes_max": 100_000})
        return settings.model_copy(update={"limits": limits})

    async def test_a_loop_that_ends_is_taken(self, api, alice):
        model = (await upload(api, alice, slow(multiplications=10))).json()
        assert model["operators"]["Loop"] == 1
        assert model["bounds"]["unbounded"] is None

    async def test_what_a_loop_holds_is_looked_at_all_the_same(self, api, alice):
        problem = (await upload(api, alice, loop_with_bomb())).json()
        assert (problem["reason"], problem["node"]["path"]) == ("too_large", "graph / 0 'forever' (Loop) body")


async def test_a_card_that_does_not_fit_the_model_is_refused_in_full(api, alice):
    answer = await upload(api, alice, affine(), card={"inputs": {"z": {}, "x": {"codec": "image"}}})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert {error["loc"] for error in answer.json()["errors"]} == {"card.inputs.z", "card.inputs.x"}


async def test_a_card_that_is_no_json_object_is_malformed(api, alice):
    for card in ("{", "[]", "7"):
        answer = await upload(api, alice, affine(), card=card)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed"), card


async def test_a_name_that_cannot_be_is_refused(api, alice):
    for name in ("", "a b", "mdl_abc", "-a", "a/b", "a:1", "x" * 101):
        assert (await upload(api, alice, affine(), name=name)).status_code == 422, name


async def test_a_model_over_the_limit_is_refused(api, alice):
    answer = await upload(api, alice, bytes(10_001))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_a_form_with_missing_double_or_unknown_fields_is_malformed(api, alice):
    file = ("m.onnx", affine(), "a/b")
    for files in ([("nothing", file)], [("file", file), ("file", file)]):
        answer = await api.post(MODELS, data={"name": "tiny"}, files=files, headers=alice.headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    answer = await api.post(MODELS, files={"name": (None, "tiny")}, headers=alice.headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    assert (await api.post(MODELS, content=affine(), headers=alice.headers)).status_code == 415


async def test_the_same_upload_again_makes_no_second_version(api, alice):
    first = await upload(api, alice, affine(), **{"Idempotency-Key": "k"})
    again = await upload(api, alice, affine(), **{"Idempotency-Key": "k"})
    other = await upload(api, alice, centred(), **{"Idempotency-Key": "k"})
    assert again.json() == first.json()
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert (await api.get(f"{MODELS}/tiny", headers=alice.headers)).json()["version"] == 1


async def test_foreign_models_are_not_found_until_they_are_published(api, alice, bob):
    model = (await upload(api, alice, affine())).json()
    references = ("tiny", "tiny:1", "tiny/versions", "tiny/versions/1", model["id"], model["version_id"])
    for reference in references:
        assert (await api.get(f"{MODELS}/{reference}", headers=bob.headers)).status_code == 404
    assert (await api.patch(f"{MODELS}/tiny", json={"visibility": "public"}, headers=bob.headers)).status_code == 404
    published = await api.patch(f"{MODELS}/tiny", json={"visibility": "public"}, headers=alice.headers)
    assert published.json()["visibility"] == "public"
    for reference in references:
        assert (await api.get(f"{MODELS}/{reference}", headers=bob.headers)).status_code == 200
    assert (await api.get(f"{MODELS}/tiny", headers=bob.headers)).json()["own"] is False
    for path in ("tiny", "tiny/versions/1"):
        assert (await api.delete(f"{MODELS}/{path}", headers=bob.headers)).status_code == 404


async def test_an_own_model_comes_before_a_public_one_of_the_same_name(api, alice, bob):
    await upload(api, alice, affine())
    await api.patch(f"{MODELS}/tiny", json={"visibility": "public"}, headers=alice.headers)
    mine = (await upload(api, bob, centred())).json()
    assert (await api.get(f"{MODELS}/tiny", headers=bob.headers)).json()["id"] == mine["id"]


async def test_a_deleted_version_is_gone_and_its_number_is_not_used_again(api, alice):
    for content in (affine(), centred()):
        await upload(api, alice, content)
    assert (await api.delete(f"{MODELS}/tiny/versions/2", headers=alice.headers)).status_code == 204
    assert (await api.get(f"{MODELS}/tiny", headers=alice.headers)).json()["version"] == 1
    assert (await upload(api, alice, affine())).json()["version"] == 3


async def test_a_deleted_model_is_gone_and_its_name_is_free(api, alice):
    old = (await upload(api, alice, affine())).json()
    assert (await api.delete(f"{MODELS}/tiny", headers=alice.headers)).status_code == 204
    for reference in ("tiny", old["id"], old["version_id"]):
        assert (await api.get(f"{MODELS}/{reference}", headers=alice.headers)).status_code == 404
    assert (await api.delete(f"{MODELS}/tiny", headers=alice.headers)).status_code == 404
    assert (await upload(api, alice, affine())).json()["version"] == 1


async def test_a_reference_to_nothing_is_not_found(api, alice):
    for reference in ("nothing", "tiny:0", "tiny:99999999999", "tiny:-1", "tiny:x", "mdl_1", "mdv_zz", "%00", "a" * 300):
        assert (await api.get(f"{MODELS}/{reference}", headers=alice.headers)).status_code == 404, reference


async def test_a_tokenizer_comes_with_the_model_and_stays_in_its_file(api, alice):
    content = embedding_model()
    card = {
        "inputs": {"input_ids": {"codec": "text"}},
        "outputs": {"hidden": {"steps": [{"do": "mean_pool", "mask": "attention_mask"}]}},
    }
    parts = [("file", ("m.onnx", content)), ("asset", ("tokenizer.json", media.tokenizer_json().encode()))]
    answer = await api.post(MODELS, data={"name": "texts", "card": json.dumps(card)}, files=parts, headers=alice.headers)
    assert answer.status_code == 201, answer.text
    model = answer.json()
    assert model["assets"] == {"tokenizer.json": len(media.tokenizer_json())}
    assert model["size"] > len(content)
    assert model["card"]["inputs"]["attention_mask"] == {"codec": "derived", "from": "input_ids", "field": "attention_mask"}
    assert model["results"] == {"hidden": {"dtype": "float32", "shape": [None, 4], "media_type": None}}
    for name, words in (("../x", "name of an asset"), ("tokenizer.json", "UTF-8")):
        bad = [("file", ("m.onnx", content)), ("asset", (name, b"\xff"))]
        refused = await api.post(MODELS, data={"name": "texts", "card": json.dumps(card)}, files=bad, headers=alice.headers)
        assert (refused.status_code, words in refused.text) == (422, True), refused.text
    assert (await upload(api, alice, content, card=card)).status_code == 422
