import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fabric.codecs.frame import (
    DTYPES,
    MAGIC,
    BadFrame,
    decode_frame,
    decode_header,
    encode_frame,
    frame_matches,
)

ARRAYS = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=8) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)
GOOD = encode_frame({"label": np.arange(3), "probabilities": np.ones((3, 10), np.float32)})
OUTPUTS = {"label": {"dtype": "int64", "shape": [None]}, "probabilities": {"dtype": "float32", "shape": [None, 10]}}


def frame_with(fields: object, buffers: bytes = b"") -> bytes:
    header = msgpack.packb(fields)
    return MAGIC + len(header).to_bytes(4, "little") + header + bytes(-(8 + len(header)) % 8) + buffers


@given(st.dictionaries(st.text(min_size=1, max_size=20), ARRAYS, max_size=4))
def test_tensors_come_back_as_they_went(tensors):
    back = decode_frame(encode_frame(tensors))
    assert list(back) == list(tensors)
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        assert back[name].shape == tensor.shape
        assert back[name].tobytes() == tensor.tobytes()


def test_pieces_are_one_tensor_and_strides_do_not_matter():
    whole = np.arange(24, dtype=np.float32).reshape(6, 4)
    frame = encode_frame({"y": [whole[:1], whole[1:4], whole[4:]], "t": whole.T, "be": whole.astype(">f4")})
    back = decode_frame(frame)
    np.testing.assert_array_equal(back["y"], whole)
    np.testing.assert_array_equal(back["t"], whole.T)
    np.testing.assert_array_equal(back["be"], whole)


def test_reading_copies_nothing_and_cannot_write():
    back = decode_frame(GOOD)
    assert np.shares_memory(back["label"], np.frombuffer(GOOD, np.uint8))
    assert not back["label"].flags.writeable
    assert back["probabilities"].flags.aligned


@pytest.mark.parametrize(
    "tensors",
    [
        {"y": np.array(["text"])},
        {"y": np.array([object()])},
        {"y": np.zeros(2, np.complex64)},
        {"y": []},
        {"y": [np.zeros((1, 2)), np.zeros((1, 3))]},
        {"y": [np.zeros(2), np.zeros(2, np.float32)]},
        {"y": [np.zeros(()), np.zeros(())]},
    ],
)
def test_what_a_frame_cannot_carry_is_refused_when_it_is_made(tensors):
    with pytest.raises(BadFrame):
        encode_frame(tensors)


def test_the_header_can_be_read_without_the_buffers():
    header = decode_header(GOOD)
    assert header == decode_header(GOOD[: header.header_bytes])
    assert header.total_bytes == len(GOOD)


@given(st.binary(max_size=200))
def test_noise_is_refused(noise):
    with pytest.raises(BadFrame):
        decode_frame(noise)


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_changed_byte_gives_a_valid_frame_or_a_refusal_and_nothing_else(position, value):
    changed = bytearray(GOOD)
    changed[position] = value
    try:
        decode_frame(bytes(changed))
    except BadFrame:
        pass


@given(st.integers(0, len(GOOD) - 1))
def test_a_cut_frame_is_refused(length):
    with pytest.raises(BadFrame):
        decode_frame(GOOD[:length])


@given(ANYTHING)
def test_a_header_of_any_other_form_is_refused(fields):
    try:
        header = decode_header(frame_with(fields))
    except BadFrame:
        return
    assert header.entries == ()  # only the empty list is a header


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.text(max_size=3),
            st.sampled_from([*sorted(DTYPES), "object", "O", "str"]),
            st.lists(st.integers(-1, 2**50) | st.booleans(), max_size=5),
            st.integers(-1, 2**62),
        ),
        max_size=3,
    )
)
def test_entries_that_lie_are_refused_or_hold(fields):
    frame = frame_with([list(field) for field in fields], bytes(64))
    try:
        tensors = decode_frame(frame)
    except BadFrame:
        return
    assert sum(t.nbytes for t in tensors.values()) <= 64


@pytest.mark.parametrize(
    "field",
    [
        ["y", "float32", [1], 8],
        ["y", "float32", [2**40, 2**40], 0],
        ["y", "float32", [0, 2**40, 2**40, 2**40], 0],
        ["y", "float32", [1] * 17, 4],
        ["y" * 300, "float32", [1], 4],
        ["", "float32", [1], 4],
        ["y", "float32", [True], 4],
        ["y", "float32", [1], 4.0],
        ["y", "float32", {"1": 1}, 4],
        ["y", "float32", [1]],
    ],
)
def test_each_kind_of_lie_is_refused(field):
    with pytest.raises(BadFrame):
        decode_header(frame_with([field], bytes(8)))


def test_a_name_may_not_occur_twice():
    with pytest.raises(BadFrame, match="twice"):
        decode_header(frame_with([["y", "int8", [0], 0], ["y", "int8", [0], 0]]))


def test_a_huge_header_is_refused_before_it_is_read():
    with pytest.raises(BadFrame):
        decode_header(MAGIC + (2**31).to_bytes(4, "little") + bytes(100))
    with pytest.raises(BadFrame):
        encode_frame({f"{index:0250}": np.zeros(1) for index in range(256)})


def test_a_frame_that_answers_the_order_matches():
    assert frame_matches(decode_header(GOOD), OUTPUTS, 3) is None


def test_rows_stacked_for_an_output_without_an_item_axis_match():
    header = decode_header(encode_frame({"sum": np.zeros(3, np.float32)}))
    assert frame_matches(header, {"sum": {"dtype": "float32", "shape": []}}, 3) is None


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"label": np.arange(3)}, "outputs"),
        ({"label": np.arange(3), "probabilities": np.ones((3, 10), np.float32), "more": np.ones(3)}, "outputs"),
        ({"label": np.arange(3), "probabilities": np.ones((3, 10))}, "float64"),
        ({"label": np.arange(2), "probabilities": np.ones((3, 10), np.float32)}, "rows"),
        ({"label": np.int64(3)[...], "probabilities": np.ones((3, 10), np.float32)}, "rows"),
        ({"label": np.arange(3), "probabilities": np.ones((3, 11), np.float32)}, "model says"),
        ({"label": np.arange(3), "probabilities": np.ones((3, 1, 10), np.float32)}, None),
        ({"label": np.arange(3), "probabilities": np.ones(3, np.float32)}, "model says"),
    ],
)
def test_what_does_not_answer_the_order_is_named(tensors, words):
    problem = frame_matches(decode_header(encode_frame(tensors)), OUTPUTS, 3)
    assert problem is None if words is None else words in problem


@settings(max_examples=30)
@given(st.lists(st.text(max_size=5), max_size=6), st.lists(st.binary(max_size=5), min_size=1, max_size=4))
def test_texts_and_byte_strings_come_back_as_they_went(texts, contents):
    tensors = {"t": np.empty(len(texts), object), "b": np.empty((1, len(contents)), object), "n": np.arange(3)}
    tensors["t"][:], tensors["b"][0] = texts, contents
    back = decode_frame(encode_frame(tensors))
    assert back["t"].tolist() == texts
    assert back["b"].tolist() == [contents]
    assert back["n"].tolist() == [0, 1, 2]
    assert not back["t"].flags.writeable


@pytest.mark.parametrize(
    ("nbytes", "buffer"),
    [
        (6, (9).to_bytes(4, "little") + b"ab"),
        (6, (1).to_bytes(4, "little") + b"ab"),
        (5, (1).to_bytes(4, "little") + b"\xff"),
        (3, b"abc"),
        (2**50, b""),
    ],
)
def test_texts_whose_lengths_do_not_add_up_are_refused(nbytes, buffer):
    with pytest.raises(BadFrame):
        decode_frame(frame_with([["t", "string", [1], nbytes]], buffer + bytes(-len(buffer) % 8)))
