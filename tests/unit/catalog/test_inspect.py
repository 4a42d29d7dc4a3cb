"""What an ONNX file says, and which files are refused and why."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from fabric.catalog.inspect import inspect_model
from fabric.core.errors import InvalidModel
from tests.fixtures.onnx_models import affine, convolution, model_of, slow

REASONS = {
    "not_onnx", "truncated", "malformed", "unsupported", "custom_operator", "external_data", "control_flow", "too_many_nodes",
    "too_deep", "too_long_text", "tensor_size", "too_large", "too_costly", "duplicate_name", "cycle", "recursive_function",
}  # fmt: skip


def changed(content: bytes, change) -> bytes:
    model = onnx.load_model_from_string(content)
    change(model)
    return model.SerializeToString()


def refusal_of(content: bytes, *, control_flow: bool = False) -> InvalidModel:
    with pytest.raises(InvalidModel) as refused:
        inspect_model(content, control_flow=control_flow)
    return refused.value


def test_inputs_outputs_and_operators_are_read_from_the_file(tmp_path):
    (tmp_path / "model.onnx").write_bytes(convolution(side=8))
    inspection = inspect_model(tmp_path / "model.onnx")
    assert inspection.inputs == {"image": {"dtype": "float32", "shape": [None, 3, 8, 8]}}
    assert inspection.outputs == {"y": {"dtype": "float32", "shape": [None, 4]}}
    assert inspection.operators == {"Conv": 1, "Flatten": 1, "GlobalAveragePool": 1}
    assert (inspection.opset, inspection.ir_version, inspection.parameters) == (17, 9, 4 * 3 * 3 * 3)


def test_a_fixed_batch_axis_is_seen():
    assert inspect_model(affine(batch=4)).inputs["x"]["shape"] == [4, 4]


def test_initializers_that_are_listed_as_inputs_are_no_inputs():
    def list_it(model: onnx.ModelProto) -> None:
        model.graph.input.append(helper.make_tensor_value_info("two", TensorProto.FLOAT, []))

    assert list(inspect_model(changed(affine(), list_it)).inputs) == ["x"]


def test_operators_inside_loops_are_counted():
    assert inspect_model(slow(), control_flow=True).operators == {"Identity": 1, "Loop": 1, "MatMul": 1}


@pytest.mark.parametrize(
    "content", [b"", b"hello world", b"\x89PNG\r\n\x1a\n" + bytes(500), b"PK\x03\x04" * 50, b"\x08\x09", b"\x00" * 64]
)
def test_what_is_not_onnx_is_refused(content: bytes):
    assert refusal_of(content).fields["reason"] == "not_onnx"


@pytest.mark.parametrize("kept", [0.3, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused_as_truncated(kept: float):
    content = convolution()
    assert refusal_of(content[: int(len(content) * kept)]).fields["reason"] == "truncated"


def test_a_file_cut_between_its_fields_is_refused_as_truncated():
    whole = changed(affine(), lambda model: None)
    opset = onnx.load_model_from_string(whole).opset_import[0].SerializeToString()
    assert whole.endswith(opset)
    assert refusal_of(whole[: -len(opset) - 2]).fields["reason"] == "truncated"


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 255))
def test_damaged_files_are_refused_and_never_crash(junk: bytes, position: int, value: int):
    content = bytearray(affine())
    content[position % len(content)] = value
    for damaged in (junk, bytes(content), affine() + junk):
        try:
            inspect_model(damaged)
        except InvalidModel as refused:
            assert refused.fields["reason"] in REASONS


def test_external_data_is_refused_wherever_it_hides():
    def of_initializer(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="/etc/passwd")

    def of_attribute(model: onnx.ModelProto) -> None:
        hidden = numpy_helper.from_array(np.ones(2, np.float32), "hidden")
        hidden.external_data.add(key="location", value="../weights.bin")
        model.graph.node.append(helper.make_node("Constant", [], ["unused"], value=hidden))

    for change in (of_initializer, of_attribute):
        refused = refusal_of(changed(affine(), change))
        assert refused.fields["reason"] == "external_data"
        assert "save_as_external_data" in refused.detail

    def in_subgraph(model: onnx.ModelProto) -> None:
        body = next(a.g for a in model.graph.node[0].attribute if a.name == "body")
        hidden = numpy_helper.from_array(np.ones(2, np.float32), "hidden")
        hidden.data_location = TensorProto.EXTERNAL
        body.initializer.append(hidden)

    assert refusal_of(changed(slow(), in_subgraph), control_flow=True).fields["reason"] == "external_data"


@pytest.mark.parametrize(
    ("operator", "domain", "named"),
    [
        ("Add", "com.example", "com.example::Add"),
        ("NoSuchThing", "", "NoSuchThing"),
        ("FusedConv", "com.microsoft", "com.microsoft::FusedConv"),
    ],
)
def test_custom_operators_are_refused_by_name(operator: str, domain: str, named: str):
    def replace(model: onnx.ModelProto) -> None:
        model.graph.node[0].op_type, model.graph.node[0].domain = operator, domain
        if domain:
            model.opset_import.append(helper.make_opsetid(domain, 1))

    refused = refusal_of(changed(affine(), replace))
    assert refused.fields["reason"] == "custom_operator"
    assert named in refused.detail


def test_a_custom_operator_inside_a_loop_is_found():
    def replace(model: onnx.ModelProto) -> None:
        body = next(a.g for a in model.graph.node[0].attribute if a.name == "body")
        body.node[1].domain = "evil"

    assert refusal_of(changed(slow(), replace), control_flow=True).fields["reason"] == "custom_operator"


def test_functions_that_the_file_defines_itself_are_no_custom_operators():
    def define(model: onnx.ModelProto) -> None:
        double = helper.make_node("Add", ["a", "a"], ["b"])
        model.functions.append(helper.make_function("own", "Double", ["a"], ["b"], [double], [helper.make_opsetid("", 17)]))
        model.opset_import.append(helper.make_opsetid("own", 1))
        model.graph.node[0].CopyFrom(helper.make_node("Double", ["x"], ["twice"], domain="own"))

    assert inspect_model(changed(affine(), define)).operators == {"Add": 2, "own::Double": 1}


def test_an_operator_without_its_operator_set_is_refused():
    def replace(model: onnx.ModelProto) -> None:
        model.graph.node[0].op_type, model.graph.node[0].domain = "Scaler", "ai.onnx.ml"

    assert refusal_of(changed(affine(), replace)).fields["reason"] == "custom_operator"


def test_a_graph_that_the_checker_refuses_is_malformed():
    def forget(model: onnx.ModelProto) -> None:
        del model.graph.node[0]

    assert refusal_of(changed(affine(), forget)).fields["reason"] == "malformed"


def test_outputs_that_are_no_tensors_are_refused_with_a_hint():
    def as_sequence(model: onnx.ModelProto) -> None:
        element = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
        model.graph.output[0].type.CopyFrom(helper.make_sequence_type_proto(element))

    refused = refusal_of(changed(affine(), as_sequence))
    assert refused.fields["reason"] == "unsupported"
    assert "zipmap" in refused.detail


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.graph.input[0].type.tensor_type.ClearField("shape"),
        lambda model: setattr(model.graph.input[0].type.tensor_type, "elem_type", TensorProto.COMPLEX64),
        lambda model: setattr(model.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", 0),
        lambda model: setattr(model.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", 2**40),
    ],
)
def test_inputs_that_cannot_be_fed_are_refused(change):
    assert refusal_of(changed(affine(), change)).fields["reason"] in {"unsupported", "malformed"}


def test_a_model_whose_inputs_are_all_scalars_has_no_items():
    content = model_of([helper.make_node("Identity", ["x"], ["y"])], {"x": []}, {"y": []})
    assert "axis 0" in refusal_of(content).detail
