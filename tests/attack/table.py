"""The table that `make attack` prints: what each attack did to a plain system and what it did to Fabric, both measured in this run.

Each test that measures one side calls `record`; a row needs both sides. What decides is the effect that was seen (a file that
appeared, a node that died, a value that changed), never only an error code.
"""

import shutil
import textwrap
from dataclasses import dataclass, field
from typing import Literal

Side = Literal["plain", "fabric"]
GATE = "the gate"
ANSWERS = "hostile answers"
MODELS = "models"
INPUTS = "inputs"
GROUPS = (GATE, ANSWERS, MODELS, INPUTS)

PLAIN = {GATE: "plain Ray (the gate off)", ANSWERS: "plain Ray", MODELS: "plain ONNX Runtime", INPUTS: "plain decoder"}

REFUSED = "refused"
REFUSED_BY_BOTH = "refused (plain too)"
GOT_THROUGH = "GOT THROUGH"
PROVES_NOTHING = "PROVES NOTHING"  # it fails without the boundary too, so its failing with it says nothing
NOT_MEASURED = "NOT MEASURED"
GOOD = (REFUSED, REFUSED_BY_BOTH)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one attack came to on one side."""

    succeeded: bool
    """Whether the attacker got what was wanted, judged by its effect."""
    evidence: str
    """One line for people: what was seen, with its figures."""


@dataclass(slots=True)
class Row:
    """One attack, on both sides."""

    group: str
    attack: str
    plain: Outcome | None = None
    fabric: Outcome | None = None

    @property
    def verdict(self) -> str:
        if self.plain is None or self.fabric is None:
            return NOT_MEASURED
        if self.fabric.succeeded:
            return GOT_THROUGH
        if self.plain.succeeded:
            return REFUSED
        return PROVES_NOTHING if self.group == GATE else REFUSED_BY_BOTH


@dataclass(slots=True)
class Table:
    """All rows of one run, in the order in which they came."""

    rows: dict[tuple[str, str], Row] = field(default_factory=dict)

    def record(self, group: str, attack: str, side: Side, outcome: Outcome) -> Outcome:
        """Keep what was measured; returns it, to be asserted. Measuring one side twice keeps the worse."""
        assert group in GROUPS, f"one of {GROUPS}"
        row = self.rows.setdefault((group, attack), Row(group, attack))
        before: Outcome | None = getattr(row, side)
        if before is None or outcome.succeeded or not before.succeeded:
            setattr(row, side, outcome)
        return outcome

    def unproven(self) -> list[Row]:
        """The rows for which the run as a whole must fail."""
        return [row for row in self.rows.values() if row.verdict not in GOOD]

    def text(self, width: int | None = None) -> str:
        """The table for a terminal or a log, `width` characters wide (default: the terminal's, at least 140)."""
        width = max(140, width or shutil.get_terminal_size((200, 24)).columns)
        words = 21
        name = 38
        cell = (width - name - words - 9) // 2
        widths = (name, cell, cell, words)
        lines = []
        for group in GROUPS:
            rows = [row for row in self.rows.values() if row.group == group]
            if rows:
                title = f"attack ({group})"
                lines += [_line((title, PLAIN[group], "Fabric", "verdict"), widths), _rule(widths)]
                lines += [_line((r.attack, _said(r.plain), _said(r.fabric), r.verdict), widths) for r in rows]
                lines.append("")
        good = sum(row.verdict in GOOD for row in self.rows.values())
        lines.append(f"{good} of {len(self.rows)} attacks refused; every figure was measured in this run")
        return "\n".join(lines)


TABLE = Table()
"""The table of this run."""


def record(group: str, attack: str, side: Side, *, succeeded: bool, evidence: str) -> Outcome:
    """Record one side of one attack in this run's table."""
    return TABLE.record(group, attack, side, Outcome(bool(succeeded), " ".join(evidence.split())))


def _said(outcome: Outcome | None) -> str:
    return "—" if outcome is None else f"{'succeeds' if outcome.succeeded else 'fails'}: {outcome.evidence}"


def _rule(widths: tuple[int, ...]) -> str:
    return "-+-".join("-" * width for width in widths)


def _line(cells: tuple[str, ...], widths: tuple[int, ...]) -> str:
    wrapped = [textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, widths, strict=True)]
    height = max(len(lines) for lines in wrapped)
    return "\n".join(
        " | ".join(
            (lines[i] if i < len(lines) else "").ljust(width) for lines, width in zip(wrapped, widths, strict=True)
        ).rstrip()
        for i in range(height)
    )
