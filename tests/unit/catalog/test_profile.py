"""What is measured on generated inputs."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from fabric.catalog.inspect import inspect_model
from fabric.catalog.profile import Profile, measure
from fabric.core.errors import InvalidModel
from tests.fixtures.onnx_models import affine, centred, convolution, identity, model_of, total, weighted


@pytest.fixture
def profile_of(tmp_path: Path):
    def measured(content: bytes) -> Profile:
        path = tmp_path / "model.onnx"
        path.write_bytes(content)
        return measure(path, inspect_model(content))

    return measured


@pytest.mark.parametrize(
    "content", [affine(), identity(), convolution(), weighted()], ids=["affine", "identity", "convolution", "weighted"]
)
def test_a_model_that_treats_items_alone_may_be_batched(profile_of, content: bytes):
    profile = profile_of(content)
    assert (profile.batchable, profile.batch_items_max, profile.batch_fixed) == (True, 32, False)
    assert profile.output_bytes_item == 16
    assert profile.item_us > 0
    assert profile.load_us > 0
    assert profile.memory_bytes > 0


def test_a_model_that_mixes_items_is_given_one_at_a_time(profile_of):
    profile = profile_of(centred())
    assert (profile.batchable, profile.batch_items_max, profile.batch_fixed) == (False, 1, False)


def test_a_model_whose_output_has_no_item_axis_is_given_one_at_a_time(profile_of):
    profile = profile_of(total())
    assert (profile.batchable, profile.batch_items_max, profile.output_bytes_item) == (False, 1, 4)


def test_a_fixed_batch_of_independent_items_is_filled(profile_of):
    profile = profile_of(affine(batch=4))
    assert (profile.batchable, profile.batch_items_max, profile.batch_fixed) == (True, 4, True)
    assert profile.output_bytes_item == 16


def test_a_fixed_batch_of_one_is_given_one_at_a_time(profile_of):
    profile = profile_of(affine(batch=1))
    assert (profile.batchable, profile.batch_items_max, profile.batch_fixed) == (False, 1, True)


def test_a_fixed_batch_of_dependent_items_is_refused(profile_of):
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["x", "mean"], ["y"]),
    ]
    with pytest.raises(InvalidModel, match="influence each other"):
        profile_of(model_of(nodes, {"x": [4, 3]}, {"y": [4, 3]}))


def test_a_fixed_batch_whose_output_has_another_axis_is_refused(profile_of):
    node = helper.make_node("Transpose", ["x"], ["y"], perm=[1, 0])
    with pytest.raises(InvalidModel, match="axis 0"):
        profile_of(model_of([node], {"x": [4, 3]}, {"y": [3, 4]}))


def test_two_rows_for_each_item_are_not_batched(profile_of):
    profile = profile_of(model_of([helper.make_node("Concat", ["x", "x"], ["y"], axis=0)], {"x": ["N", 3]}, {"y": ["M", 3]}))
    assert profile.batchable is False


def test_a_model_that_only_takes_one_item_despite_its_open_axis_is_not_batched(profile_of):
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    profile = profile_of(model_of([node], {"x": ["N", 4]}, {"y": ["N", 4]}, {"shape": np.array([1, 4])}))
    assert (profile.batchable, profile.batch_items_max) == (False, 1)


def test_indices_into_a_small_table_are_found(profile_of):
    table = np.arange(6, dtype=np.float32).reshape(2, 3)
    content = model_of([helper.make_node("Gather", ["table", "x"], ["y"])], {"x": ["N", 5]}, {"y": ["N", 5, 3]}, {"table": table})
    inspected = inspect_model(_with_integers(content))
    assert inspected.inputs["x"]["dtype"] == "int64"
    assert profile_of(_with_integers(content)).batchable is True


def test_the_output_size_of_an_open_axis_is_unknown(profile_of):
    profile = profile_of(model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": ["N", "length"]}, {"y": ["N", "length"]}))
    assert profile.batchable is True
    assert profile.output_bytes_item is None


def test_a_model_that_no_generated_input_fits_is_refused(profile_of):
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"])]
    with pytest.raises(InvalidModel, match="generated inputs"):
        profile_of(model_of(nodes, {"x": ["N", 4]}, {"y": ["N", 7]}, {"shape": np.array([1, 7])}))


def _with_integers(content: bytes) -> bytes:
    import onnx

    model = onnx.load_model_from_string(content)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    return model.SerializeToString()
