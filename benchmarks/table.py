"""A measured figure beside its reference, how a table of them is printed and stored."""

import json
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """One figure. `ratio` is value / reference, so that it says the same on any machine."""

    name: str
    value: float
    unit: str
    reference_name: str = ""
    reference_value: float | None = None
    reach: str = ""  # what the figure should reach, in words

    @property
    def ratio(self) -> float | None:
        """Value beside its reference; None without one."""
        return self.value / self.reference_value if self.reference_value else None


def median(values: Sequence[float]) -> float:
    """The median, which one slow run cannot move."""
    return statistics.median(values)


def figure(value: float) -> str:
    """Four digits, and never a power of ten."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def show(title: str, rows: Sequence[Row]) -> None:
    """Print the rows and store them as benchmarks/results/<title>.json."""
    table = Table(title=title, title_justify="left")
    for column in ("what", "measured", "beside", "reference", "ratio", "reach"):
        table.add_column(column, justify="right" if column in {"measured", "reference", "ratio"} else "left")
    for row in rows:
        reference = "" if row.reference_value is None else f"{figure(row.reference_value)} {row.unit}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        table.add_row(row.name, f"{figure(row.value)} {row.unit}", row.reference_name, reference, ratio, row.reach)
    Console(width=160).print(table)
    RESULTS.mkdir(exist_ok=True)
    stored = {"machine": platform.platform(), "rows": [asdict(row) | {"ratio": row.ratio} for row in rows]}
    (RESULTS / f"{title}.json").write_text(json.dumps(stored, indent=1) + "\n")
