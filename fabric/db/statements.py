"""Reads SQL files made of named statements, each with a purpose."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from sqlalchemy import TextClause, text

_HEADER = re.compile(r"^-- (?P<name>[a-z_]+) --$", re.MULTILINE)


def load_statements(path: Path) -> Mapping[str, TextClause]:
    """The statements of a file by name. A statement begins with a line `-- name --` and a comment that says what it is for.

    Raises:
        ValueError: a name twice, or a statement without a purpose.
    """
    pieces = _HEADER.split(path.read_text())
    statements: dict[str, TextClause] = {}
    for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
        lines = body.strip().splitlines()
        if name in statements or not lines[0].startswith("-- "):
            raise ValueError(f"{path.name}: {name} occurs twice or does not say what it is for")
        statements[name] = text("\n".join(line for line in lines if not line.lstrip().startswith("-- ")).rstrip(" ;\n"))
    return MappingProxyType(statements)
