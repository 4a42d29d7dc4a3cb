import re
from pathlib import Path

import pytest

import fabric.jobs
from fabric.db.statements import load_statements
from fabric.jobs import bill, timeline
from fabric.jobs.statements import STATEMENTS


def test_statements_are_found_by_name_without_their_comments(tmp_path: Path):
    path = tmp_path / "some.sql"
    path.write_text(
        "-- About the file.\n\n-- one --\n-- What for.\nSELECT :a;\n\n-- two --\n-- What for,\n-- in two lines.\nSELECT 2;\n"
    )
    found = load_statements(path)
    assert {name: str(statement) for name, statement in found.items()} == {"one": "SELECT :a", "two": "SELECT 2"}


@pytest.mark.parametrize("text", ["-- one --\nSELECT 1;\n", "-- one --\n-- Why.\nSELECT 1;\n-- one --\n-- Why.\nSELECT 2;\n"])
def test_a_statement_needs_a_purpose_and_a_name_of_its_own(tmp_path: Path, text: str):
    (tmp_path / "some.sql").write_text(text)
    with pytest.raises(ValueError, match="one"):
        load_statements(tmp_path / "some.sql")


APART = (bill, timeline)
"""Modules that have a file of statements of their own."""


def used(path: Path) -> set[str]:
    return set(re.findall(r'STATEMENTS\["([a-z_]+)"\]', path.read_text()))


def test_every_statement_of_the_queue_is_used():
    apart = {Path(module.__file__) for module in APART}
    assert set().union(*(used(path) for path in Path(fabric.jobs.__file__).parent.glob("*.py") if path not in apart)) == set(
        STATEMENTS
    )


@pytest.mark.parametrize("module", APART, ids=lambda module: module.__name__)
def test_every_statement_of_a_module_is_used_by_it(module):
    assert used(Path(module.__file__)) == set(module.STATEMENTS)
