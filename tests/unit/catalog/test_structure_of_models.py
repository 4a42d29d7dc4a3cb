"""Names, order, functions and tensors of a file: what holds together, and what does not."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fabric.catalog.inspect import inspect_model
from fabric.catalog.operators import ALLOWED, schema_of
from fabric.catalog.outline import NODES_MAX, outline
from fabric.catalog.structure import CALLS_DEEP_MAX, find_place
from fabric.catalog.tensors import check_tensor, element_bytes
from fabric.core.errors import InvalidModel
from tests.fixtures.hostile_models import (
    branch,
    edited,
    functions,
    gigantic_text,
    many_nodes,
    spelled,
    spelled_model,
    with_initializer,
)
from tests.fixtures.onnx_models import affine, model_of, slow

ROW, RESULT = {"x": ["N", 1]}, {"y": ["N", 1]}
KINDS = [
    kind for kind in TensorProto.DataType.values() if element_bytes(kind) and kind not in {TensorProto.UNDEFINED, TensorProto.STRING}
]  # fmt: skip


def refusal_of(content: bytes, *, control_flow: bool = False) -> InvalidModel:
    with pytest.raises(InvalidModel) as refused:
        inspect_model(content, control_flow=control_flow)
    return refused.value


def test_every_operator_on_the_list_is_one_of_the_standard():
    newest = {"": onnx.defs.onnx_opset_version(), "ai.onnx.ml": 5}
    unknown = [
        f"{domain}::{operator}"
        for domain, operators in ALLOWED.items()
        for operator in operators
        if all(schema_of(operator, domain, version) is None for version in range(1, newest[domain] + 1))
    ]
    assert unknown == []


def test_nodes_out_of_order_are_told_from_a_circle():
    late = [helper.make_node("Neg", ["a"], ["y"], "early"), helper.make_node("Abs", ["x"], ["a"], "late")]
    refused = refusal_of(model_of(late, ROW, RESULT))
    assert refused.fields["reason"] == "malformed"
    assert refused.fields["node"]["name"] == "early"
    assert "makes only later" in refused.detail


def test_a_value_that_nothing_makes_is_named():
    refused = refusal_of(model_of([helper.make_node("Add", ["x", "ghost"], ["y"], "sum")], ROW, RESULT))
    assert refused.detail == "node 0 'sum' (Add): takes 'ghost', which nothing makes"


def test_a_body_may_use_what_is_outside_but_may_not_make_it_again():
    assert inspect_model(branch(), control_flow=True).operators["If"] == 1

    def shadow(model: onnx.ModelProto) -> None:
        inner = model.graph.node[0].attribute[0].g
        inner.node.append(helper.make_node("Neg", ["nowhere"], ["w"], "lost"))

    refused = refusal_of(edited(branch(), shadow), control_flow=True)
    assert refused.fields["node"]["path"].startswith("graph / 0 'choose' (If)")
    assert "nothing makes" in refused.detail


@pytest.mark.parametrize(
    "domain", ["", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc", "ai.onnx.preview.training"]
)
def test_a_function_cannot_take_the_place_of_an_operator(domain: str):
    def define(model: onnx.ModelProto) -> None:
        body = [helper.make_node("Neg", ["a"], ["b"])]
        model.functions.append(helper.make_function(domain, "Relu", ["a"], ["b"], body, [helper.make_opsetid("", 17)]))

    assert refusal_of(edited(affine(), define)).fields["reason"] == "custom_operator"


def test_a_function_that_is_defined_twice_is_refused():
    def again(model: onnx.ModelProto) -> None:
        model.functions.append(model.functions[0])

    assert refusal_of(edited(functions({"F": ["Neg"]}, "F"), again)).fields["reason"] == "duplicate_name"


def test_calls_may_go_only_so_deep():
    def chain(levels: int) -> bytes:
        return functions({f"F{i}": [f"F{i + 1}"] for i in range(levels)} | {f"F{levels}": ["Neg"]}, "F0")

    assert inspect_model(chain(CALLS_DEEP_MAX - 2)).operators["Neg"] == 1
    assert refusal_of(chain(CALLS_DEEP_MAX + 2)).fields["reason"] == "too_deep"


def test_as_many_nodes_as_allowed_are_counted_and_one_more_is_refused():
    assert outline(many_nodes(NODES_MAX)).nodes == NODES_MAX
    with pytest.raises(InvalidModel, match="nodes"):
        outline(many_nodes(NODES_MAX + 1))


def test_long_lists_of_numbers_are_passed_over():
    node = helper.make_node("Clip", ["x"], ["y"], ints=list(range(-5, 200_000)), floats=[0.5] * 100_000)
    walked = outline(model_of([node], ROW, RESULT))
    assert (walked.is_complete, walked.nodes) == (True, 1)


def test_bytes_that_are_no_protobuf_are_not_parsed():
    for junk in (b"\xff" * 100, affine()[:-3], affine() + b"\x07", b"\x0b\x0c"):
        assert not outline(junk).is_complete


def test_a_length_beyond_its_message_is_no_protobuf():
    lying = b"\x0a\x7f" + b"\x0a\x01x"  # a node that says it has more bytes than its graph
    assert not outline(spelled_model(lying)).is_complete
    assert outline(spelled_model(spelled(1, b"\x0a\x01x"))).is_complete


def test_training_information_is_refused():
    def train(model: onnx.ModelProto) -> None:
        model.training_info.add()

    assert "inference" in refusal_of(edited(affine(), train)).detail


def test_text_that_is_long_but_not_too_long_is_fine():
    assert outline(gigantic_text(60_000)).is_complete


@pytest.mark.parametrize("kind", KINDS, ids=TensorProto.DataType.Name)
@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)], ids=str)
def test_a_tensor_as_exporters_write_it_is_complete(kind: int, raw: bool, shape: tuple[int, ...]):
    values = np.zeros(shape, helper.tensor_dtype_to_np_dtype(kind))
    tensor = numpy_helper.from_array(values, "w") if raw else helper.make_tensor("w", kind, shape, values.reshape(-1))
    check_tensor(tensor, None)
    broken = TensorProto.FromString(tensor.SerializeToString())
    broken.dims.append(1000)
    if np.prod(shape):
        with pytest.raises(InvalidModel, match="'w'"):
            check_tensor(broken, None)


def test_a_tensor_that_comes_in_two_forms_is_refused():
    both = TensorProto(name="w", dims=[1], data_type=TensorProto.FLOAT, raw_data=bytes(4), float_data=[1.0])
    assert refusal_of(with_initializer(both)).fields["reason"] == "tensor_size"


def test_a_node_is_found_by_the_name_that_a_library_gives_it():
    model = onnx.load_model_from_string(slow())
    model.graph.node[0].attribute[0].g.node[1].name = "turn"
    place = find_place(model, "turn", "MatMul")
    assert place is not None
    assert (place.index, place.path) == (1, "graph / 0 (Loop) body")
    assert find_place(model, "turn", "Add") is None
    model.graph.node[0].attribute[0].g.node.add(op_type="MatMul", name="turn")
    assert find_place(model, "turn", "MatMul") is None
