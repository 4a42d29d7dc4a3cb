"""Client: the synchronous client, with what only threads can offer."""

from typing import Any

from fabric.client._sync.client import Client as SyncClient
from fabric.client.executor import Executor
from fabric.client.pace import WINDOW_ITEMS


class Client(SyncClient):
    """A fabric, from a notebook or a script.

    client = Client()                              # FABRIC_URL, FABRIC_API_KEY
    job = client.submit("digits", images).wait()
    probabilities = job.results()["probabilities"]
    """

    def executor(self, model: str, *, window: int = WINDOW_ITEMS, batch: int | None = None, **options: Any) -> Executor:
        """Futures in the manner of `concurrent.futures`: `submit(item)`, `map(items)`, `shutdown()`, a context manager.

        Args:
            model: Name, name:version or id.
            window: So many items are under way at most; as many again may wait, then `submit` waits too.
            batch: Items of one job; None: small at first, more while jobs are quick.
            options: As for `submit`, for each of the jobs.
        """
        return Executor(self, model, window=window, batch=batch, **options)
