"""The one MetaData, and the column kinds that every table shares."""

from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, MetaData, Uuid, text

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)


def key() -> Column[Any]:
    """A primary key made by core.ids."""
    return Column("id", Uuid, primary_key=True)


def moment(name: str, *, required: bool = False, comment: str | None = None) -> Column[Any]:
    """A point in time with its zone."""
    return Column(name, DateTime(timezone=True), nullable=not required, comment=comment)


def created_at() -> Column[Any]:
    """When the row was written, on the database's clock."""
    return Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()"))


def nanos(name: str, comment: str | None = None, *, required: bool = True) -> Column[Any]:
    """An amount of nano-USD."""
    return Column(name, BigInteger, nullable=not required, server_default=text("0") if required else None, comment=comment)
