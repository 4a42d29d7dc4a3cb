"""Makes a database ready for the control plane: migrations, the application's role, and one kind of money for good."""

import asyncio

from fabric.core.settings import Settings
from fabric.local.parts import PartFailed


def prepare_database(owner_url: str, settings: Settings) -> str:
    """Migrate, and give the application its own, weaker role; returns the application's URL.

    Raises:
        PartFailed: the books are of another kind of money than the settings say.
    """
    from fabric.billing import modes
    from fabric.core.errors import WrongMoney
    from fabric.db.engine import Database
    from fabric.db.migrate import ensure_application_role, migrate

    async def claim(app_url: str) -> None:
        database = Database(app_url, pool_size=1)
        try:
            await modes.claim(database, settings.billing)
        finally:
            await database.close()

    migrate(owner_url)
    app_url = ensure_application_role(owner_url)
    try:
        asyncio.run(claim(app_url))
    except WrongMoney as error:
        raise PartFailed(error.detail) from None
    return app_url
