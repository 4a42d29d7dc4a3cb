"""Items, one after another, made into batches that go as one job each: alike in shape and type, and bounded in bytes."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fabric.client.frames import is_frame
from fabric.client.inputs import Field, Input, as_dtype, is_file, named, only, texts_of

BATCH_BYTES_MAX = 32 * 1024 * 1024
BATCH_WAIT_S = 0.25
"""A batch goes when its items took so long to come, however few they are."""


@dataclass
class Batch:
    """Items that go as one job; or the error for which there are no more."""

    start: int
    values: dict[str, list[Any]] = field(default_factory=dict)
    error: Exception | None = None

    @property
    def count(self) -> int:
        """How many items."""
        return max((len(values) for values in self.values.values()), default=0)

    def inputs(self) -> dict[str, Input]:
        """The same as a job's inputs."""
        return {name: stacked(values) for name, values in self.values.items()}


class Items:
    """Items of any iterable, read only as they are asked for."""

    def __init__(self, inputs: Any, fields: Mapping[str, Field]) -> None:
        """Read from a list, an array (axis 0), a table, a dict of columns, or any other iterable such as a generator."""
        self._fields = fields
        self._iterator = rows_of(inputs, fields)
        self._held: dict[str, Any] | None = None
        self._next = 0
        self._broken: Exception | None = None

    def take(self, count: int) -> Batch | None:
        """The next batch of at most `count` items; None when there are no more.

        An error of the iterable comes as a batch of its own, after everything that came before it.
        """
        batch, kind, size, since_s = Batch(self._next), None, 0, time.monotonic()
        while batch.count < count and size < BATCH_BYTES_MAX and (not batch.values or time.monotonic() - since_s < BATCH_WAIT_S):
            item = self._advance()
            if item is None:
                break
            if kind is not None and kind_of(item) != kind:
                self._held = item
                break
            kind, size = kind_of(item), size + bytes_of(item)
            for name, value in item.items():
                batch.values.setdefault(name, []).append(value)
        self._next += batch.count
        if batch.values:
            return batch
        if self._broken is not None:
            batch.error, self._broken = self._broken, None
            return batch
        return None

    def _advance(self) -> dict[str, Any] | None:
        item, self._held = self._held, None
        if item is not None or self._broken is not None:
            return item
        try:
            return item_of(next(self._iterator), self._fields)
        except StopIteration:
            return None
        except Exception as error:
            self._broken = error
            return None


def rows_of(inputs: Any, fields: Mapping[str, Field]) -> Iterator[Any]:
    """One item after another, of whatever holds them.

    Raises:
        ValueError: columns of different lengths.
        TypeError: there is nothing to iterate.
    """
    if is_frame(inputs) or (isinstance(inputs, Mapping) and not is_file(inputs)):
        columns = named(inputs, fields)
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"the inputs have different numbers of items: {lengths}")
        return iter([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)])
    if isinstance(inputs, str | bytes | Path):
        raise TypeError("give several items: a list, an array, a table or a generator")
    return iter(inputs)


def item_of(item: Any, fields: Mapping[str, Field]) -> dict[str, Any]:
    """One item by input name, each an array of one item's shape, a text or a file.

    Raises:
        ValueError: it does not say what the model takes.
    """
    if isinstance(item, Mapping) and not is_file(item):
        if set(item) != set(fields):
            raise ValueError(f"an item has the keys {sorted(map(str, item))}; the model takes {sorted(fields)}")
        return {name: value_of(item[name], field) for name, field in fields.items()}
    return {(field := only(fields)).name: value_of(item, field)}


def value_of(value: Any, field: Field) -> Any:
    """One input of one item."""
    if is_file(value) or isinstance(value, bytes | Path):
        return value
    if isinstance(value, str):
        return str(value) if field.is_text else Path(value)
    array = np.asarray(value)
    return array if isinstance(value, np.ndarray | np.generic) else as_dtype(array, field.dtype)


def kind_of(item: Mapping[str, Any]) -> tuple[Any, ...]:
    """What items of one batch have in common."""
    return tuple(
        (name, value.dtype.str, value.shape) if isinstance(value, np.ndarray) else (name, is_file(value), isinstance(value, str))
        for name, value in item.items()
    )


def bytes_of(item: Mapping[str, Any]) -> int:
    """How much an item is, roughly."""
    return sum(
        value.nbytes if isinstance(value, np.ndarray) else len(value) if isinstance(value, bytes | str)
        else value.stat().st_size if isinstance(value, Path) else 0
        for value in item.values()
    )  # fmt: skip


def stacked(values: list[Any]) -> Input:
    """The values of one input: an array with the item axis first, texts, or files."""
    if isinstance(values[0], np.ndarray):
        return np.stack(values)
    return texts_of(values) if isinstance(values[0], str) else values


def items_of(values: Iterable[Any]) -> Any:
    """What one item delivers: the value itself when there is one output, else the values by name."""
    outputs = dict(values)
    return next(iter(outputs.values())) if len(outputs) == 1 else outputs
