"""What was looked at, what was found, what is needed, and what helps: the records of `doctor` and `why`, and how they are shown."""

from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

OK, NOTE, MEND = "ok", "note", "mend"
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
    """A record that the fabric made; statuses that are not ours stand in the way unless they say that all is well."""
    status = str(answer.get("status", MEND))
    known = status if status in STYLES else MEND
    return Record(str(answer.get("id", "?")), known, *(str(answer.get(name) or "") for name in ("found", "needed", "remedy")))


def table_of(records: list[Record]) -> Table:
    """All of them, for a terminal."""
    table = Table("", "what", "found", "needed", "what helps", box=None, pad_edge=False)
    for record in records:
        mark = f"[{STYLES[record.status]}]{record.status}[/]"
        table.add_row(mark, *(_plain(text) for text in (record.id, record.found, record.needed, record.remedy)))
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


def _plain(text: str) -> str:
    """Text that means no markup."""
    from rich.markup import escape

    return escape(text)
