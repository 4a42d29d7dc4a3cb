import io
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.codecs.npz import inflate_member, read_npz_index
from fabric.codecs.tensor import NPY_PREFIX_BYTES, read_npy_header, rows_problem, tensor_of_json
from fabric.core.errors import InvalidInput


def npy(array: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **options)
    return buffer.getvalue()


def reader_of(content: bytes):
    async def read(offset: int, length: int) -> bytes:
        assert 0 <= offset <= offset + length <= len(content)
        return content[offset : offset + length]

    return read


async def index_of(content: bytes):
    return await read_npz_index(len(content), reader_of(content))


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float64"])
def test_numpys_own_headers_are_read(version, dtype):
    array = np.zeros((5, 2, 3), dtype)
    content = npy(array, version=version)
    header = read_npy_header(content[:NPY_PREFIX_BYTES])
    assert (header.dtype, header.shape, header.fortran) == (dtype, (5, 2, 3), False)
    assert content[header.header_bytes :] == array.tobytes()
    assert header.data_bytes == array.nbytes


def test_fortran_order_is_seen():
    assert read_npy_header(npy(np.asfortranarray(np.zeros((2, 3))))).fortran


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros(3, ">f4"), "big-endian"),
        (np.zeros(3, np.complex64), "cannot be used"),
        (np.array(["text"], ">U4"), "big-endian"),
        (np.zeros(3, [("a", "i4"), ("b", "f4")]), "cannot be used"),
        (np.zeros(3, "datetime64[s]"), "cannot be used"),
    ],
)
def test_other_dtypes_are_refused_with_a_hint(array, words):
    with pytest.raises(InvalidInput, match=words):
        read_npy_header(npy(array))


def test_pickled_arrays_are_refused_unread():
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was loaded",))

    with pytest.raises(InvalidInput):
        read_npy_header(npy(np.array([Bomb()], dtype=object)))
    with pytest.raises(InvalidInput):
        read_npy_header(pickle.dumps(Bomb()))


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (1.5,), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': 3, }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (True,), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)*9, }",
        b"{'descr': '<f4', 'shape': (1,), }",
        b"[1, 2]",
        b"__import__('os')",
        b"(" * 5000,
        b"{'descr': '<f3', 'fortran_order': False, 'shape': (1,), }",
        b"\xff\xfe",
    ],
)
def test_hostile_headers_are_refused(header):
    with pytest.raises(InvalidInput):
        read_npy_header(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)


@given(st.binary(max_size=300))
def test_noise_is_no_npy_file(noise):
    with pytest.raises(InvalidInput):
        read_npy_header(b"\x93NUMPY\x01\x00" + noise)


@pytest.mark.parametrize("length", [0, 5, 9, 11, 40])
def test_a_truncated_header_is_refused(length):
    with pytest.raises(InvalidInput):
        read_npy_header(npy(np.zeros(3))[:length])


async def test_stored_arrays_of_an_npz_are_ranges_of_the_file():
    arrays = {"a": np.arange(10), "b": np.ones((3, 4), np.float32), "empty": np.zeros((0, 2))}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    content = buffer.getvalue()
    members = await index_of(content)
    assert [m.name for m in members] == list(arrays)
    for member in members:
        start = member.offset + member.header.header_bytes
        assert content[start : start + member.header.data_bytes] == arrays[member.name].tobytes()


async def test_compressed_arrays_of_an_npz_can_be_inflated_up_to_a_limit():
    array = np.zeros(100_000)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=array)
    content = buffer.getvalue()
    (member,) = await index_of(content)
    stored = content[member.offset : member.offset + member.stored_bytes]
    assert member.compressed
    np.testing.assert_array_equal(np.load(io.BytesIO(inflate_member(member, stored, 1_000_000))), array)
    with pytest.raises(InvalidInput, match="savez"):
        inflate_member(member, stored, 1000)
    with pytest.raises(InvalidInput, match="damaged"):
        inflate_member(member, stored[:-5], 1_000_000)
    with pytest.raises(InvalidInput, match="damaged"):
        inflate_member(member, b"\xff" + stored[1:], 1_000_000)


async def test_a_member_that_inflates_to_more_than_it_says_is_refused():
    bomb, honest = io.BytesIO(), io.BytesIO()
    np.savez_compressed(bomb, a=np.zeros(1_000_000))
    np.savez_compressed(honest, a=np.zeros(10))
    (big,), (small,) = await index_of(bomb.getvalue()), await index_of(honest.getvalue())
    stored = bomb.getvalue()[big.offset : big.offset + big.stored_bytes]
    with pytest.raises(InvalidInput, match="damaged"):
        inflate_member(small, stored, 10_000_000)


async def test_zips_of_other_things_are_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "hello")
    for content in (b"", b"PK", bytes(200), buffer.getvalue()):
        with pytest.raises(InvalidInput):
            await index_of(content)


@given(position=st.integers(0, 600), value=st.integers(0, 255))
async def test_a_damaged_npz_is_read_or_refused_and_nothing_else(position, value):
    buffer = io.BytesIO()
    np.savez(buffer, a=np.arange(4), b=np.ones(3, np.float32))
    content = bytearray(buffer.getvalue())
    content[position % len(content)] = value
    try:
        members = await index_of(bytes(content))
    except InvalidInput:
        return
    assert all(0 <= m.offset <= m.offset + m.stored_bytes <= len(content) for m in members)


@pytest.mark.parametrize(
    "tensor",
    [
        {"datatype": "FP33", "shape": [1], "data": [1]},
        {"datatype": ["FP32"], "shape": [1], "data": [1]},
        {"datatype": "BYTES", "shape": [1], "data": [1]},
        {"datatype": "FP32", "shape": [2], "data": [1]},
        {"datatype": "FP32", "shape": [-1], "data": [1]},
        {"datatype": "FP32", "shape": "1", "data": [1]},
        {"datatype": "FP32", "shape": [1], "data": 1},
        {"datatype": "FP32", "shape": [1], "data": ["1"]},
        {"datatype": "FP32", "shape": [1], "data": [None]},
        {"datatype": "FP32", "shape": [1], "data": [{}]},
        {"datatype": "FP32", "shape": [3], "data": [[1, 2], [3]]},
        {"datatype": "INT32", "shape": [1], "data": [1.5]},
        {"datatype": "UINT8", "shape": [1], "data": [256]},
        {"datatype": "UINT8", "shape": [1], "data": [-1]},
        {"datatype": "INT64", "shape": [1], "data": [2**70]},
        {"datatype": "BOOL", "shape": [1], "data": [2]},
        {"datatype": "FP32", "shape": [2**40, 2**40], "data": []},
        {},
    ],
)
def test_json_tensors_that_do_not_add_up_are_refused(tensor):
    with pytest.raises(InvalidInput):
        tensor_of_json(tensor)


def test_json_data_may_be_flat_nested_or_empty():
    for data in ([1, 2, 3, 4], [[1, 2], [3, 4]]):
        np.testing.assert_array_equal(tensor_of_json({"datatype": "FP32", "shape": [2, 2], "data": data}), [[1, 2], [3, 4]])
    assert tensor_of_json({"datatype": "INT64", "shape": [0, 3], "data": []}).shape == (0, 3)


@pytest.mark.parametrize(
    ("dtype", "shape", "words"),
    [
        ("uint8", (3, 8, 8), None),
        ("float64", (3, 8, 8), "dtype"),
        ("uint8", (3, 8, 9), "shape"),
        ("uint8", (8, 8), "shape"),
    ],
)
def test_stored_rows_are_compared_with_card_and_model(dtype, shape, words):
    entry = {"codec": "tensor", "dtype": "uint8", "scale": 1.0, "mean": None, "std": None}
    problem = rows_problem(dtype, shape, entry, {"dtype": "float32", "shape": [None, 3, None, 8]})
    assert problem is None if words is None else words in problem
