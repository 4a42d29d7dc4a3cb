"""A bearer credential of either kind to the principal it speaks for."""

from fabric.core.settings import AuthSettings
from fabric.db.engine import Database
from fabric.identity.access import Principal
from fabric.identity.api_keys import PREFIX, principal_of_api_key
from fabric.identity.tokens import principal_of_access_token


async def authenticate(database: Database, settings: AuthSettings, credential: str) -> Principal:
    """Who shows this access token or API key.

    Raises:
        Unauthenticated: the credential is not good.
        CredentialExpired: it was good once.
    """
    if credential.startswith(PREFIX):
        return await principal_of_api_key(database, credential)
    return await principal_of_access_token(database, settings, credential)
