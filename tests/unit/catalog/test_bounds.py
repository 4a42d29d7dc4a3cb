"""What is told of a run from the graph alone."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from fabric.catalog.inspect import inspect_model
from fabric.core.errors import InvalidModel
from fabric.demo import squeezenet
from tests.fixtures.hostile_models import edited, functions, ints, loop, with_sum
from tests.fixtures.onnx_models import affine, model_of, slow

ROW = {"x": ["N", 4]}


def bounds_of(content: bytes, *, control_flow: bool = False) -> dict:
    return inspect_model(content, control_flow=control_flow).bounds


def refusal_of(content: bytes, *, control_flow: bool = False) -> InvalidModel:
    with pytest.raises(InvalidModel) as refused:
        inspect_model(content, control_flow=control_flow)
    return refused.value


def test_a_real_network_costs_what_its_paper_says():
    bounds = bounds_of(squeezenet.build())
    assert 0.65e9 < bounds["operations"] < 0.8e9  # 349 M multiply-adds
    assert bounds["largest"]["name"] == "conv1"
    assert 64 * 111 * 111 * 4 < bounds["memory_bytes"] < 16 * 2**20


def test_the_costliest_node_is_the_one_with_most_arithmetic():
    weights = {"small": np.ones((4, 8), np.float32), "large": np.ones((8, 512), np.float32)}
    nodes = [
        helper.make_node("MatMul", ["x", "small"], ["h"], "first"),
        helper.make_node("MatMul", ["h", "large"], ["y"], "second"),
    ]
    bounds = bounds_of(model_of(nodes, ROW, {"y": ["N", 512]}, weights))
    assert bounds["costliest"] == {"path": "graph", "index": 1, "name": "second", "op_type": "MatMul"}
    assert bounds["operations"] == 2 * 1000 + 2 * 8 * 4 + 2 * 512 * 8


def test_memory_is_of_what_lives_together_not_of_all_that_was():
    """Twenty values one after another take two at a time; twenty that a Concat waits for take all."""
    side = ints(1, 1000, 1000)
    grow = helper.make_node("Expand", ["one", "side"], ["v0"])
    chain = [helper.make_node("Neg", [f"v{i}"], [f"v{i + 1}"]) for i in range(20)]
    one = {"one": np.ones((1, 1, 1), np.float32), "side": side}
    assert bounds_of(with_sum([grow, *chain], one, "v20"))["memory_bytes"] == pytest.approx(8e6, rel=0.01)
    fan = [helper.make_node("Neg", ["v0"], [f"v{i + 1}"]) for i in range(20)]
    joined = helper.make_node("Concat", [f"v{i + 1}" for i in range(20)], ["all"], axis=0)
    assert bounds_of(with_sum([grow, *fan, joined], one, "all"))["memory_bytes"] == pytest.approx(160e6, rel=0.03)


def test_many_values_that_are_harmless_alone_are_refused_together():
    side = ints(1, 15_000, 15_000)
    fan = [helper.make_node("Expand", ["one", "side"], [f"v{i}"], f"grow{i}") for i in range(6)]
    total = helper.make_node("Sum", [f"v{i}" for i in range(6)], ["all"])
    refused = refusal_of(with_sum([*fan, total], {"one": np.ones((1, 1, 1), np.float32), "side": side}, "all"))
    assert refused.fields["reason"] == "too_large"
    assert refused.fields["node"]["name"] == "grow4"
    assert "holds at least" in refused.detail


def test_an_open_axis_counts_as_one_and_is_left_to_the_run():
    node = helper.make_node("MatMul", ["x", "t"], ["y"])
    turn = helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1])
    content = model_of([turn, node], {"x": ["N", "length", 8]}, {"y": ["N", "length", "length"]})
    assert bounds_of(content)["memory_bytes"] < 1000


def test_the_trips_of_a_loop_multiply_what_its_body_takes():
    few, many = (bounds_of(slow(multiplications=trips), control_flow=True)["operations"] for trips in (10, 1000))
    assert many > 90 * few
    assert bounds_of(slow(multiplications=10), control_flow=True)["unbounded"] is None


def test_a_loop_without_a_count_is_named_as_unbounded():
    assert bounds_of(loop(None), control_flow=True)["unbounded"]["name"] == "forever"


def test_a_loop_that_gathers_what_it_makes_is_bounded_by_its_trips():
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Identity", ["state"], ["next"]),
            helper.make_node("Expand", ["one", "side"], ["row"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []), helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
            helper.make_tensor_value_info("row", TensorProto.FLOAT, None),
        ],
    )  # fmt: skip
    constants = {"trips": np.array(100_000), "yes": np.array(True), "one": np.ones(1, np.float32), "side": ints(10_000)}
    nodes = [helper.make_node("Loop", ["trips", "yes", "x"], ["y", "rows"], "gather", body=body)]
    refused = refusal_of(model_of(nodes, ROW, {"y": ["N", 4]}, constants), control_flow=True)
    assert (refused.fields["reason"], refused.fields["node"]["name"]) == ("too_large", "gather")


def test_both_branches_are_looked_at_whichever_is_taken():
    output = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    harmless = helper.make_graph([helper.make_node("Identity", ["x"], ["z"])], "then", [], [output])
    bomb = helper.make_graph([helper.make_node("Expand", ["x", "far"], ["z"], "hidden")], "else", [], [output])
    node = helper.make_node("If", ["yes"], ["y"], "choose", then_branch=harmless, else_branch=bomb)
    content = model_of([node], ROW, {"y": ["N", 4]}, {"yes": np.array(True), "far": ints(2**20, 2**10, 4)})
    refused = refusal_of(content, control_flow=True)
    assert refused.fields["node"] == {
        "path": "graph / 0 'choose' (If) else_branch",
        "index": 0,
        "name": "hidden",
        "op_type": "Expand",
    }


def test_what_a_function_makes_is_told_with_the_values_of_the_call():
    """The size is an attribute of the call; the function's node only refers to it."""

    def define(size: int) -> bytes:
        def change(model: onnx.ModelProto) -> None:
            maker = helper.make_node("RandomNormal", [], ["r"], "inner")
            maker.attribute.add(name="shape", type=onnx.AttributeProto.INTS, ref_attr_name="size")
            tail = [helper.make_node("ReduceMax", ["r"], ["m"], keepdims=0), helper.make_node("Add", ["a", "m"], ["b"])]
            opsets = [helper.make_opsetid("", 17)]
            model.functions.append(helper.make_function("own", "Noise", ["a"], ["b"], [maker, *tail], opsets, ["size"]))
            model.opset_import.append(helper.make_opsetid("own", 1))
            model.graph.node[0].CopyFrom(helper.make_node("Noise", ["x"], ["twice"], "call", domain="own", size=[size, size]))

        return edited(affine(), change)

    assert bounds_of(define(10))["memory_bytes"] >= 400
    refused = refusal_of(define(2**20))
    assert refused.fields["node"] == {"path": "function own::Noise", "index": 0, "name": "inner", "op_type": "RandomNormal"}


def test_functions_are_counted_as_often_as_they_are_called():
    once = bounds_of(functions({"F": ["Neg"]}, "F"))["operations"]
    often = bounds_of(functions({"F": ["Neg"] * 50}, "F"))["operations"]
    assert often - once == pytest.approx(49 * 1000, rel=0.01)


def test_places_of_what_is_not_zero_are_counted_as_all_of_them():
    nodes = [helper.make_node("Expand", ["one", "side"], ["full"]), helper.make_node("NonZero", ["full"], ["huge"], "where")]
    tail = [helper.make_node("Cast", ["huge"], ["asfloat"], to=TensorProto.FLOAT)]
    content = with_sum([*nodes, *tail], {"one": np.ones((1, 1), np.uint8), "side": ints(10_000, 10_000)}, "asfloat")
    refused = refusal_of(content)
    assert (refused.fields["reason"], refused.fields["node"]["name"]) == ("too_large", "where")


def test_what_is_only_declared_must_be_finite_too():
    def declare(model: onnx.ModelProto) -> None:
        model.graph.value_info.append(helper.make_tensor_value_info("twice", TensorProto.FLOAT, [2**20, 2**20]))

    assert "declares" in refusal_of(edited(affine(), declare)).detail


def test_shapes_that_are_worked_out_in_the_graph_are_followed():
    """Shape → Gather → Mul → Concat → Expand, as exporters write it."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "second"], ["width"]),
        helper.make_node("Mul", ["width", "far"], ["wide"]),
        helper.make_node("Concat", ["first", "wide"], ["target"], axis=0),
        helper.make_node("Expand", ["one", "target"], ["huge"], "grow"),
    ]
    constants = {"second": ints(1), "far": ints(2**28), "first": ints(4), "one": np.ones((1, 1), np.float32)}
    tail = [helper.make_node("ReduceMax", ["huge"], ["m"], keepdims=0), helper.make_node("Add", ["x", "m"], ["y"])]
    refused = refusal_of(model_of([*nodes, *tail], ROW, {"y": ["N", 4]}, constants))
    assert refused.fields["node"]["name"] == "grow"
    assert "4 x 1073741824" in refused.detail


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([("Slice", ["v", "s", "e", "a"], {})], [4, 6]),
        ([("Unsqueeze", ["v", "a"], {}), ("Squeeze", ["1", "a"], {})], [2, 4, 6, 8]),
        ([("Div", ["v", "e"], {})], [0, 1, 2, 2]),
        ([("ReduceProd", ["v"], {"keepdims": 1})], [384]),
        ([("Cast", ["v"], {"to": TensorProto.FLOAT}), ("Sqrt", ["1"], {}), ("Cast", ["2"], {"to": TensorProto.INT64})], [1, 2, 2, 2]),
        ([("Range", ["zero", "three", "one"], {})], [0, 1, 2]),
        ([("Where", ["yes", "v", "e"], {})], [2, 4, 6, 8]),
        ([("Reshape", ["v", "flat"], {})], [2, 4, 6, 8]),
        ([("Max", ["v", "e"], {})], [3, 4, 6, 8]),
    ],
)  # fmt: skip
def test_small_arithmetic_on_shapes_is_done_as_a_runtime_does_it(nodes, expected):
    """The result becomes the shape of a value, whose size is then read off the bound on memory."""
    constants = {
        "v": ints(2, 4, 6, 8), "s": ints(1), "e": ints(3), "a": ints(0), "zero": np.array(0), "three": np.array(3), "one": np.array(1),
        "yes": np.array(True), "flat": ints(-1), "plus": ints(3), "base": np.ones((1,), np.float32),
    }  # fmt: skip
    made = [helper.make_node(op, inputs, [str(i + 1)], **attributes) for i, (op, inputs, attributes) in enumerate(nodes)]
    grown = helper.make_node("Add", [str(len(nodes)), "plus"], ["sizes"])  # axes of a size that shows
    content = with_sum([*made, grown, helper.make_node("Expand", ["base", "sizes"], ["huge"], "grow")], constants)
    bounds = bounds_of(content)
    assert bounds["largest"]["name"] == "grow"
    assert bounds["memory_bytes"] == pytest.approx(4 * np.prod(np.array(expected) + 3), abs=200)
