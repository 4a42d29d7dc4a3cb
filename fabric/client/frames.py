"""Tables of pandas, where it is installed: their columns as inputs, and results by item as a table.

pandas is asked for only when somebody passes or wants a table; nothing here needs it before.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fabric.client.errors import FabricClientError, ItemFailed

if TYPE_CHECKING:
    import pandas

COLUMNS_OF_VECTOR_MAX = 64
"""A longer vector stays one cell."""


def is_frame(value: Any) -> bool:
    """Whether this is a table of pandas."""
    return "pandas" in sys.modules and isinstance(value, sys.modules["pandas"].DataFrame)


def is_series(value: Any) -> bool:
    """Whether this is one column of pandas."""
    return "pandas" in sys.modules and isinstance(value, sys.modules["pandas"].Series)


def column(series: Any) -> "np.ndarray[Any, Any]":
    """A column as an array: numbers as they are, texts as texts; cells that hold arrays are stacked.

    Raises:
        ValueError: something is missing.
    """
    missing = np.flatnonzero(series.isna().to_numpy())
    if missing.size and series.dtype.kind not in "f":
        raise ValueError(
            f"row {missing[0]} of column {series.name!r} is missing ({missing.size} in all); fill or drop these rows first"
        )
    array = series.to_numpy()
    if array.dtype.kind in "biuf":
        return np.asarray(array)
    listed = list(series)
    if all(isinstance(cell, str) for cell in listed):
        texts = np.empty(len(listed), dtype=object)
        texts[:] = listed
        return texts
    return np.stack([np.asarray(cell) for cell in listed])


def columns_for(frame: Any, names: Sequence[str]) -> dict[str, "np.ndarray[Any, Any]"]:
    """A table as inputs: a column for each input of that name, or all columns as one input of as many features.

    Raises:
        ValueError: neither fits.
    """
    if not frame.columns.is_unique:
        raise ValueError(
            f"the table has several columns of one name: {sorted(map(str, frame.columns[frame.columns.duplicated()]))}"
        )
    if all(name in frame.columns for name in names):
        return {name: column(frame[name]) for name in names}
    if len(names) != 1:
        missing = sorted(set(names) - set(map(str, frame.columns)))
        raise ValueError(f"the table has no column {', '.join(map(repr, missing))}; it has {sorted(map(str, frame.columns))}")
    if len(frame.columns) == 1:
        return {names[0]: column(frame[frame.columns[0]])}
    texts = [str(name) for name in frame.columns if frame[name].dtype.kind not in "biuf"]
    if texts:
        raise ValueError(f"the columns {texts} hold no numbers; choose those that {names[0]!r} is made of: frame[[…]]")
    return {names[0]: np.stack([column(frame[name]) for name in frame.columns], axis=1)}


def frame_of(outcomes: Sequence[Any], *, index: Any = None) -> "pandas.DataFrame":
    """Results by item: numbers and texts a column each, short vectors a column for each entry, anything else in one cell.

    Args:
        outcomes: For each item its outputs by name, or the ItemFailed that says why there are none.
        index: Of the table; such as that of the table that was submitted.

    Returns:
        A row for each item. When some failed there is a column `error`, empty where all is well.

    Raises:
        FabricClientError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise FabricClientError("a table needs pandas: pip install 'onnx-fabric[notebook]'") from error
    failed = [isinstance(outcome, ItemFailed) for outcome in outcomes]
    names = next((list(outcome) for outcome in outcomes if isinstance(outcome, Mapping)), [])
    columns: dict[str, list[Any]] = {}
    for name in names:
        cells = [None if bad else outcome[name] for outcome, bad in zip(outcomes, failed, strict=True)]
        columns |= _spread(name, cells)
    if any(failed):
        columns["error"] = [outcome.reason if bad else None for outcome, bad in zip(outcomes, failed, strict=True)]
    return pd.DataFrame(columns, index=index if index is not None else range(len(outcomes)))


def _spread(name: str, cells: list[Any]) -> dict[str, list[Any]]:
    """The columns of one output."""
    shapes = {np.shape(cell) for cell in cells if isinstance(cell, np.ndarray)}
    if shapes in ({()}, {(1,)}):
        return {name: [None if cell is None else np.asarray(cell).reshape(()).item() for cell in cells]}
    if len(shapes) == 1 and len(shape := next(iter(shapes))) == 1 and shape[0] <= COLUMNS_OF_VECTOR_MAX:
        return {f"{name}_{i}": [None if cell is None else cell[i].item() for cell in cells] for i in range(shape[0])}
    return {name: [cell.item() if isinstance(cell, np.generic) else cell for cell in cells]}
