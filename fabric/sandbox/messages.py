"""What parent and child tell each other about a run: the request, and what became of each subtask.

The child is a stranger to the parent: `answer_of` checks every type, count and size before anything is believed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

DETAIL_CHARACTERS_MAX = 500
CODE_CHARACTERS_MAX = 64
ITEM_ERRORS_MAX = 20_000  # in one receipt, hence in one answer
STATUSES = frozenset({"done", "failed", "refused", "stopped"})
LOADED_MAX = 4096
SHA256_CHARACTERS = 64


class BadAnswer(ValueError):
    """The child said something that no honest one says."""


@dataclass(frozen=True, slots=True)
class PartAt:
    """Consecutive items of one input, and where they lie in the block of the run's inputs."""

    item_count: int
    encoding: str
    offset: int | None  # None: they are nowhere
    length: int
    dtype: str
    shape: tuple[int, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class InputAt:
    """The items of one model input of one subtask."""

    name: str
    parts: tuple[PartAt, ...]
    broadcast: bool


@dataclass(frozen=True, slots=True)
class SubtaskAt:
    """What is to be computed together."""

    item_count: int
    inputs: tuple[InputAt, ...]


@dataclass(frozen=True, slots=True)
class ModelForm:
    """Which model to run, and how items become its inputs and its outputs become rows."""

    sha256: str
    inputs: dict[str, dict[str, Any]]
    outputs: dict[str, dict[str, Any]]
    batchable: bool
    batch_items_max: int
    batch_fixed: bool


@dataclass(frozen=True, slots=True)
class RunRequest:
    """Subtasks of one model, run one after the other. Blocks are numbers and sizes; only new ones come along."""

    number: int
    model: ModelForm
    subtasks: tuple[SubtaskAt, ...]
    input_block: tuple[int, int]
    output_block: tuple[int, int]
    forget: tuple[int, ...]  # blocks that are gone


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one subtask. A frame of `length` bytes lies at `offset` of the last block for outputs."""

    index: int
    status: str
    code: str = ""
    detail: str = ""
    offset: int = 0
    length: int = 0
    item_errors: tuple[tuple[int, str, str], ...] = ()


def fields_of_request(request: RunRequest) -> list[Any]:
    """The request as plain values."""
    model = request.model
    return [
        request.number,
        [model.sha256, model.inputs, model.outputs, model.batchable, model.batch_items_max, model.batch_fixed],
        [[s.item_count, [[i.name, [_fields_of_part(p) for p in i.parts], i.broadcast] for i in s.inputs]] for s in request.subtasks],
        request.input_block, request.output_block, request.forget,
    ]  # fmt: skip


def request_of(fields: Sequence[Any]) -> RunRequest:
    """Read a request. The child trusts its parent."""
    number, model, subtasks, input_block, output_block, forget = fields
    return RunRequest(
        number,
        ModelForm(*model),
        tuple(
            SubtaskAt(count, tuple(InputAt(name, tuple(_part_of(p) for p in parts), broadcast) for name, parts, broadcast in inputs))
            for count, inputs in subtasks
        ),
        tuple(input_block), tuple(output_block), tuple(forget),
    )  # fmt: skip


def fields_of_answer(answer: Answer) -> list[Any]:
    """The answer as plain values."""
    return [answer.index, answer.status, answer.code, answer.detail, answer.offset, answer.length, answer.item_errors]


def answer_of(fields: Any, *, index: int, item_count: int, room: int) -> Answer:
    """Read the answer for the subtask at `index`, which has so many items; its frame lies within `room` bytes.

    Raises:
        BadAnswer: it is none.
    """
    _check(isinstance(fields, list) and len(fields) == 7, "not an answer")
    found, status, code, detail, offset, length, errors = fields
    _check(type(found) is int and found == index, "an answer out of turn")
    _check(isinstance(status, str) and status in STATUSES, "an unknown status")
    _check(type(offset) is int and type(length) is int, "a place is no count")
    _check(min(offset, length) >= 0 and offset + length <= room, "a frame outside its block")
    _check(length == 0 or status == "done", "a frame of what was not done")
    _check(isinstance(errors, list) and len(errors) <= min(item_count, ITEM_ERRORS_MAX), "more errors than items")
    return Answer(
        index, status, text_of(code)[:CODE_CHARACTERS_MAX], text_of(detail), offset, length,
        tuple(_item_error_of(error, item_count) for error in errors),
    )  # fmt: skip


def loaded_of(fields: Any) -> tuple[str, ...]:
    """Read the list of models that are loaded.

    Raises:
        BadAnswer: it is none.
    """
    _check(isinstance(fields, list) and len(fields) <= LOADED_MAX, "not a list of models")
    _check(all(isinstance(sha256, str) and len(sha256) == SHA256_CHARACTERS for sha256 in fields), "not a hash")
    return tuple(fields)


def text_of(value: Any) -> str:
    """Read a text, cut to what a receipt may hold.

    Raises:
        BadAnswer: it is none.
    """
    _check(isinstance(value, str), "text expected")
    return str(value)[:DETAIL_CHARACTERS_MAX]


def _item_error_of(fields: Any, item_count: int) -> tuple[int, str, str]:
    _check(isinstance(fields, list) and len(fields) == 3, "not an error of an item")
    index, code, detail = fields
    _check(type(index) is int and 0 <= index < item_count, "an error of no item")
    return index, text_of(code)[:CODE_CHARACTERS_MAX], text_of(detail)


def _fields_of_part(part: PartAt) -> list[Any]:
    return [part.item_count, part.encoding, part.offset, part.length, part.dtype, part.shape, part.sizes]


def _part_of(fields: Sequence[Any]) -> PartAt:
    item_count, encoding, offset, length, dtype, shape, sizes = fields
    return PartAt(item_count, encoding, offset, length, dtype, tuple(shape), tuple(sizes))


def _check(condition: bool, what: str) -> None:
    if not condition:
        raise BadAnswer(what)
