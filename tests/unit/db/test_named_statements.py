import re
from pathlib import Path

import pytest

import fabric.jobs
from fabric.db.statements import load_statements
from fabric.jobs import bill
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


def test_every_statement_of_the_queue_is_used():
    sources = "".join(path.read_text() for path in Path(fabric.jobs.__file__).parent.glob("*.py") if path.name != "bill.py")
    assert set(re.findall(r'STATEMENTS\["([a-z_]+)"\]', sources)) == set(STATEMENTS)


def test_every_statement_of_the_bill_is_used():
    assert set(re.findall(r'STATEMENTS\["([a-z_]+)"\]', Path(bill.__file__).read_text())) == set(bill.STATEMENTS)
