"""Postgres: connections, tables, migrations. Knows no business rule."""
