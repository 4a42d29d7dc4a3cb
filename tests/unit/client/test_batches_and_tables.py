"""Items become batches, columns become inputs: values in, values out."""

import numpy as np
import pandas as pd
import pytest

from fabric.client.batches import Items
from fabric.client.errors import ItemFailed
from fabric.client.frames import frame_of
from fabric.client.inputs import Field, fields_of, is_vague, named
from fabric.client.pace import BATCH_ITEMS_FIRST, JOB_S, Pace

X = {"x": Field("x", "float32", 2, False)}
TEXT = {"ids": Field("ids", "int64", 2, True)}
TWO = {"a": Field("a", "float32", 2, False), "b": Field("b", "int64", 1, False)}


def batches(items: Items, count: int = 4) -> list[int]:
    found = []
    while batch := items.take(count):
        found.append(batch.count)
    return found


def test_batches_are_full_but_hold_only_what_is_alike():
    assert batches(Items(np.zeros((10, 3), np.float32), X)) == [4, 4, 2]
    ragged = [np.zeros(3), np.zeros(3), np.zeros(5), np.zeros(3)]
    assert batches(Items(ragged, X)) == [2, 1, 1]
    assert batches(Items([], X)) == []


def test_lists_of_numbers_get_the_models_type_and_arrays_keep_theirs():
    batch = Items([[1, 2], [3, 4]], X).take(4)
    assert batch.inputs()["x"].dtype == np.float32
    assert Items(np.ones((1, 2), np.float64), X).take(1).inputs()["x"].dtype == np.float64
    assert named([[1, 300]], {"x": Field("x", "uint8", 2, False)})["x"].dtype == np.int64  # it would not be 300 any more
    assert named([0.5], {"x": Field("x", "int64", 1, False)})["x"].dtype == np.float64


def test_texts_are_texts_where_the_model_takes_texts_and_paths_elsewhere(tmp_path):
    assert Items(["one", "two"], TEXT).take(4).inputs()["ids"].tolist() == ["one", "two"]
    image = tmp_path / "a.png"
    image.write_bytes(b"png")
    assert Items([str(image)], X).take(4).inputs()["x"] == [image]
    assert named(["one", "two"], TEXT)["ids"].dtype == object


def test_an_item_that_says_too_much_or_too_little_is_told_after_what_was_good():
    items = Items([{"a": [1], "b": 2}, {"a": [1]}], TWO)
    assert items.take(4).count == 1
    assert "the model takes ['a', 'b']" in str(items.take(4).error)
    assert items.take(4) is None
    with pytest.raises(ValueError, match="different numbers"):
        Items({"a": np.zeros((2, 1)), "b": np.zeros(3)}, TWO)


def test_a_batch_grows_while_jobs_are_quick_and_shrinks_when_they_are_slow():
    pace = Pace(window=256)
    sizes = []
    for _ in range(5):
        sizes.append(pace.batch_items())
        pace.took(JOB_S / 10)
    assert sizes == [BATCH_ITEMS_FIRST, 16, 32, 64, 64]  # never more than a quarter of the window
    pace.took(JOB_S * 10)
    assert pace.batch_items() == 32
    fixed = Pace(window=10, batch=5)
    fixed.took(0)
    assert fixed.batch_items() == 5
    fixed.began(10)
    assert not fixed.has_room(0)


def test_columns_go_to_inputs_of_their_name_or_together_to_the_only_one():
    table = pd.DataFrame({"a": [1.0, 2.0], "b": [3, 4], "c": ["x", "y"]})
    by_name = named(table, TWO)
    assert (by_name["a"].shape, by_name["a"].dtype) == ((2, 1), np.float32)
    assert by_name["b"].tolist() == [3, 4]
    assert named(table[["a", "b"]], X)["x"].tolist() == [[1, 3], [2, 4]]
    assert named(table[["c"]], TEXT)["ids"].tolist() == ["x", "y"]
    assert named({"x": table["a"]}, X)["x"].tolist() == [[1.0], [2.0]]
    with pytest.raises(ValueError, match=r"'c'.*hold no numbers"):
        named(table, X)
    with pytest.raises(ValueError, match="no column 'b'"):
        named(table[["a", "c"]], TWO)
    with pytest.raises(ValueError, match=r"several columns of one name: \['a'\]"):
        named(table[["a", "a"]], X)


def test_a_table_of_results_has_a_row_for_each_item():
    failed = ItemFailed("", index=1, code="corrupt_image", detail="not a PNG")
    outcomes = [
        {"label": np.array([7]), "p": np.array([0.5, 0.25], np.float32), "boxes": [{"a": 1}], "grid": np.zeros((2, 2))}, failed,
    ]  # fmt: skip
    table = frame_of(outcomes, index=["first", "second"])
    assert list(table.columns) == ["label", "p_0", "p_1", "boxes", "grid", "error"]
    assert (table.loc["first", "label"], table.loc["first", "p_1"]) == (7, 0.25)
    assert table.loc["first", "boxes"] == [{"a": 1}]
    assert table.loc["second", "error"] == "corrupt_image: not a PNG"
    assert table.loc["second", ["label", "p_0"]].isna().all()
    assert "error" not in frame_of(outcomes[:1]).columns
    assert len(frame_of([])) == 0


def test_inputs_that_come_of_others_are_not_asked_for():
    model = {
        "card": {"inputs": {"input_ids": {"codec": "text"}, "attention_mask": {"codec": "derived"}}},
        "inputs": {
            "input_ids": {"dtype": "int64", "shape": [None, None]},
            "attention_mask": {"dtype": "int64", "shape": [None, None]},
        },
    }
    assert list(fields_of(model)) == ["input_ids"]
    assert fields_of(model)["input_ids"].is_text
    assert [is_vague(value) for value in ({"x": np.zeros(1)}, {"x": [1]}, [b"png"], {"x": [b"png"]})] == [
        False,
        True,
        True,
        False,
    ]
