"""What the client makes of answers and inputs: values in, values out."""

import struct

import httpx
import numpy as np
import pytest

from fabric.client import FabricClientError
from fabric.client._sync.inputs import job_inputs
from fabric.client.errors import ERRORS_BY_CODE, ApiError, InvalidInput, api_error
from fabric.client.inputs import json_tensor
from fabric.client.options import job_options
from fabric.client.outages import problem_of
from fabric.client.streams import Assembly, PartReader, parse_events
from fabric.codecs.frame import encode_frame
from fabric.core import errors as core_errors


def all_leaves(base):
    return {base, *(leaf for child in base.__subclasses__() for leaf in all_leaves(child))}


def test_every_public_error_code_has_a_client_exception():
    codes = {leaf.code for leaf in all_leaves(core_errors.FabricError)} - {"internal"}
    assert codes <= set(ERRORS_BY_CODE)


def test_a_problem_becomes_the_exception_of_its_code_and_keeps_what_helps():
    problem = {
        "code": "invalid_input",
        "detail": "x has 5 columns",
        "request_id": "req_1",
        "errors": [{"loc": ["x"], "msg": "want 4"}],
    }
    error = api_error(422, problem)
    assert isinstance(error, InvalidInput)
    assert str(error) == "x has 5 columns\n  x: want 4 [req_1]"


def test_an_unknown_code_is_still_an_api_error():
    assert type(api_error(418, {"code": "teapot"})) is ApiError


def test_an_answer_that_is_no_problem_document_is_told_as_it_is():
    assert problem_of(httpx.Response(502, text="<html>bad gateway</html>"))["detail"].startswith("HTTP 502 <html>")


def test_events_are_read_across_comments_and_resumed_ids():
    lines = [
        ": heartbeat",
        "",
        "id: 7",
        "event: job.progress",
        'data: {"items_done": 3}',
        "",
        "id: 8",
        "event: job.succeeded",
        "data: {}",
        "",
    ]
    assert list(parse_events(iter(lines))) == [(7, "job.progress", {"items_done": 3}), (8, "job.succeeded", {})]


def assemble(parts, total, failed):
    assembly = Assembly(total, failed)
    for one in parts:
        assembly.add(one)
    return assembly.outputs(), assembly.present


def part(start, count, **tensors):
    frame = encode_frame({name: np.asarray(t) for name, t in tensors.items()})
    return start, count, bytes(frame)


def test_parts_that_come_in_any_order_are_assembled_in_input_order():
    outputs, present = assemble([part(2, 2, y=[[5.0], [7.0]]), part(0, 2, y=[[1.0], [3.0]])], 4, set())
    np.testing.assert_array_equal(outputs["y"], [[1], [3], [5], [7]])
    assert present.all()


def test_failed_items_leave_holes_and_missing_parts_too():
    outputs, present = assemble([part(0, 3, y=[[1.0], [3.0]], label=[4, 6])], 5, {1})
    np.testing.assert_array_equal(present, [True, False, True, False, False])
    np.testing.assert_array_equal(outputs["y"][[0, 2]], [[1], [3]])
    assert np.isnan(outputs["y"][1]).all()
    assert outputs["label"][1] == 0


def test_rows_of_different_shapes_become_one_array_each():
    outputs, present = assemble([part(0, 2, y=[[1.0], [2.0]]), part(2, 1, y=[[3.0, 4.0]])], 3, set())
    assert [row.tolist() for row in outputs["y"]] == [[1.0], [2.0], [3.0, 4.0]]
    assert present.all()


def test_a_stream_that_ends_inside_a_part_is_an_error():
    _, _, frame = part(0, 1, y=[[1.0]])
    whole = struct.pack("<IIQ", 0, 1, len(frame)) + frame
    reader = PartReader()
    found = [one for i in range(0, 2 * len(whole), 7) for one in reader.feed((whole * 2)[i : i + 7])]
    reader.end()
    assert found == [(0, 1, frame)] * 2
    assert list(reader.feed(whole[:-1])) == []
    with pytest.raises(FabricClientError, match="middle"):
        reader.end()


class UploadedFiles:
    """Remembers what was uploaded, as `client.files` would."""

    def __init__(self):
        self.uploaded = []

    def upload(self, source, **_):
        self.uploaded.append(source)
        return {"id": f"file_{len(self.uploaded)}"}

    def upload_many(self, contents):
        return [self.upload(content) for content in contents]


class KnownModel:
    """Says what a model takes, as `client.models` would."""

    def __init__(self, **inputs):
        self.facts = {"card": {"inputs": {}}, "inputs": {n: {"dtype": "float32", "shape": [None, *s]} for n, s in inputs.items()}}

    def get(self, name):
        assert name == "m"
        return self.facts


def test_small_arrays_ride_inline_and_large_ones_are_uploaded():
    files = UploadedFiles()
    small, large = np.ones((2, 2), np.float32), np.ones((200, 200), np.float32)
    inputs = job_inputs({"a": small, "b": large, "c": [b"png", b"png"], "d": {"id": "file_9"}}, files, None, "m")
    assert inputs == [
        {"name": "a", "tensor": {"datatype": "FP32", "shape": [2, 2], "data": [1.0] * 4}},
        {"name": "b", "file": "file_1"},
        {"name": "c", "files": ["file_2", "file_3"]},
        {"name": "d", "file": "file_9"},
    ]


def test_a_bare_value_goes_to_the_only_input_and_is_refused_when_there_are_two():
    assert job_inputs(np.ones(1, np.int64), UploadedFiles(), KnownModel(x=[]), "m")[0]["name"] == "x"
    with pytest.raises(ValueError, match="2 inputs"):
        job_inputs(np.ones(1, np.int64), UploadedFiles(), KnownModel(x=[], y=[]), "m")


def test_arrays_without_a_datatype_are_refused():
    with pytest.raises(ValueError, match="complex"):
        json_tensor(np.ones(1, np.complex64))


def test_options_become_fields_and_a_typo_is_told():
    assert job_options({"budget_usd": 1.5, "items_per_subtask": 3}) == {"budget_usd": "1.5", "split": {"items_per_subtask": 3}}
    with pytest.raises(TypeError, match="budget"):
        job_options({"budget": 1})
