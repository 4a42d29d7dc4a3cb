"""Every hostile file is refused before anything runs, with the reason, the words and the node."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabric.catalog.inspect import inspect_model
from fabric.core.errors import InvalidModel
from tests.fixtures import hostile_models
from tests.fixtures.hostile_models import HOSTILE, HOSTILE_WHEN_RUN, Hostile, fill_bomb

SMALL = [content for hostile in HOSTILE if len(content := hostile.build()) < 3000]


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_it_is_refused_before_it_runs(hostile: Hostile):
    with pytest.raises(InvalidModel) as refused:
        inspect_model(hostile.build(), control_flow=hostile.control_flow)
    assert refused.value.fields["reason"] == hostile.reason
    assert hostile.words in refused.value.detail
    if hostile.op_type is not None:
        node = refused.value.fields["node"]
        assert node["op_type"] == hostile.op_type
        assert refused.value.detail.startswith(f"node {node['index']}")


@pytest.mark.parametrize("hostile", HOSTILE_WHEN_RUN, ids=lambda hostile: hostile.name)
def test_what_hides_its_size_in_data_passes_as_far_as_a_look_can_tell(hostile: Hostile):
    """Or else the run under limits would be tested by nothing."""
    assert inspect_model(hostile.build(), control_flow=hostile.control_flow).operators


def test_the_famous_one_is_as_small_as_it_is_said_to_be():
    assert len(fill_bomb()) <= 104


def test_the_node_inside_a_loop_is_found_by_its_path():
    with pytest.raises(InvalidModel) as refused:
        inspect_model(hostile_models.loop_with_bomb(), control_flow=True)
    node = refused.value.fields["node"]
    assert node == {"path": "graph / 0 'forever' (Loop) body", "index": 1, "name": "inner", "op_type": "ConstantOfShape"}


def test_with_control_flow_enabled_a_harmless_branch_is_taken_in():
    assert inspect_model(hostile_models.branch(), control_flow=True).operators == {"Abs": 1, "If": 1, "Neg": 1}


def test_a_nested_external_file_is_named_with_the_node_that_holds_it():
    hidden = hostile_models.edited(hostile_models.branch(), _hide_external)
    with pytest.raises(InvalidModel) as refused:
        inspect_model(hidden, control_flow=True)
    assert (refused.value.fields["reason"], refused.value.fields["node"]["name"]) == ("external_data", "choose")


def _hide_external(model: object) -> None:
    tensor = model.graph.node[0].attribute[0].g.initializer.add(name="far", data_type=1, dims=[1], data_location=1)
    tensor.external_data.add(key="location", value="../../etc/shadow")


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SMALL), st.integers(0, 3000), st.integers(0, 255), st.booleans())
def test_hostile_files_with_a_changed_byte_are_taken_or_refused_but_never_break_the_look(content, position, value, control_flow):
    damaged = bytearray(content)
    damaged[position % len(damaged)] = value
    try:
        inspect_model(bytes(damaged), control_flow=control_flow)
    except InvalidModel as refused:
        assert refused.fields["reason"]
        assert refused.detail
