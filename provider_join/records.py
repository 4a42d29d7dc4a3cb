"""What was looked at, what was found, what is needed, and what helps: the records of `doctor` and `why`, and how they are shown."""

from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

OK, NOTE, MEND = "ok", "note", "mend"
THEIRS = {"problem": MEND, "hint": NOTE}
"""The fabric's words for it."""
STYLES = {OK: "green", NOTE: "yellow", MEND: "bold red"}


@dataclass(frozen=True, slots=True)
class Record:
    """One thing looked at. `mend` stands in the way, `note` does not."""

    id: str
    status: str
    found: str
    needed: str = ""
    remedy: str = ""

    def shown(self) -> dict[str, Any]:
        """As JSON says it."""
        return asdict(self)

    def sentence(self) -> str:
        """In one line."""
        needed = f"; needed: {self.needed}" if self.needed and self.status != OK else ""
        return f"{self.found}{needed}{f'. {self.remedy}' if self.remedy and self.status != OK else ''}"


def record_of(answer: dict[str, Any]) -> Record:
    """A record that the fabric made, in our words; a status that nobody knows stands in the way."""
    status = str(answer.get("status", MEND))
    known = THEIRS.get(status, status if status in STYLES else MEND)
    return Record(str(answer.get("id", "?")), known, *(str(answer.get(name) or "") for name in ("found", "needed", "remedy")))


def table_of(records: list[Record]) -> Table:
    """All of them, for a terminal; what is needed and what helps where something is not as it should be."""
    table = Table.grid(padding=(0, 2))
    for record in records:
        found = Text(record.found, overflow="fold")
        if record.status != OK:
            found.append(f"\nneeded: {record.needed}" if record.needed else "")
            found.append(f"\n→ {record.remedy}" if record.remedy else "", "bold")
        table.add_row(Text(record.status, STYLES[record.status]), Text(record.id, "bold"), found)
    return table


def is_fine(records: list[Record]) -> bool:
    """Whether nothing stands in the way."""
    return all(record.status != MEND for record in records)


def size_of(count: float) -> str:
    """Bytes in words."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
