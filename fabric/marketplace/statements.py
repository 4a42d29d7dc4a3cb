"""The statements of prices.sql by name."""

from pathlib import Path

from fabric.db.statements import load_statements

STATEMENTS = load_statements(Path(__file__).with_name("prices.sql"))
