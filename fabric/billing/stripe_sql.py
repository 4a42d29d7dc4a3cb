"""The statements of stripe.sql by name."""

from pathlib import Path

from fabric.db.statements import load_statements

STRIPE = load_statements(Path(__file__).with_name("stripe.sql"))
