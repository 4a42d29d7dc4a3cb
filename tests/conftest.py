"""Markers and imports of fixtures only."""

pytest_plugins = [
    "tests.fixtures.postgres",
]
