import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric.sandbox.messages import (
    Answer,
    BadAnswer,
    InputAt,
    ModelForm,
    PartAt,
    RunRequest,
    SubtaskAt,
    answer_of,
    fields_of_answer,
    fields_of_request,
    loaded_of,
    request_of,
)

PART = PartAt(2, "rows", 64, 32, "float32", (4,), ())
NOWHERE = PartAt(1, "image", None, 0, "", (), (3,))
FORM = ModelForm("ab" * 32, {"x": {"dtype": "float32", "shape": [None, 4]}}, {"y": {}}, True, 8, False)
REQUEST = RunRequest(7, FORM, (SubtaskAt(3, (InputAt("x", (PART, NOWHERE), False),)),), (1, 65536), (2, 1 << 20), (5, 6))
ANSWER = Answer(1, "done", offset=64, length=100, item_errors=((2, "corrupt_image", "bad"),))


def plain(value):
    """As msgpack gives it back."""
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value


def read(fields):
    return answer_of(plain(fields), index=1, item_count=3, room=1000)


def test_a_request_comes_back_as_it_was():
    assert request_of(plain(fields_of_request(REQUEST))) == REQUEST


def test_an_answer_comes_back_as_it_was():
    assert read(fields_of_answer(ANSWER)) == ANSWER


@pytest.mark.parametrize(
    ("place", "lie"),
    [
        (0, 0), (0, 2), (0, True), (0, "1"),
        (1, "running"), (1, None), (1, ["done"]),
        (2, 5), (3, b"bytes"),
        (4, -1), (4, 2**70), (4, 901), (4, 1.0),
        (5, -1), (5, 937), (5, True), (5, None),
        (6, None), (6, [[0, "c", "d"]] * 4), (6, [[3, "c", "d"]]), (6, [[-1, "c", "d"]]), (6, [[True, "c", "d"]]),
        (6, [["0", "c", "d"]]), (6, [[0, "c"]]), (6, [0]), (6, [[0, None, "d"]]),
    ],
)  # fmt: skip
def test_an_answer_with_one_lie_in_it_is_none(place, lie):
    fields = fields_of_answer(ANSWER)
    fields[place] = lie
    with pytest.raises(BadAnswer):
        read(fields)


def test_only_what_was_done_has_a_frame():
    with pytest.raises(BadAnswer):
        read(fields_of_answer(Answer(1, "failed", "run_failed", length=5)))


def test_long_words_are_cut():
    read_answer = read(fields_of_answer(Answer(1, "failed", "c" * 1000, "d" * 10_000)))
    assert (len(read_answer.code), len(read_answer.detail)) == (64, 500)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(), lambda inner: st.lists(inner, max_size=8)
)


@given(ANYTHING)
def test_anything_else_is_no_answer(fields):
    for act in (read, lambda value: loaded_of(plain(value))):
        try:
            act(fields)
        except BadAnswer:
            pass


def test_a_list_of_models_is_a_list_of_hashes():
    assert loaded_of(["ab" * 32]) == ("ab" * 32,)
    for lie in ("ab" * 32, ["ab"], [b"ab" * 32], [["ab" * 32]], ["ab" * 32] * 5000):
        with pytest.raises(BadAnswer):
            loaded_of(lie)
