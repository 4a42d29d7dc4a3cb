"""Futures in the manner of `concurrent.futures`: items become batches, batches jobs, and each item's future gets its own result."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Self

from fabric.client._sync.mapping import Underway, begin, cancel_all
from fabric.client.batches import Batch, item_of, kind_of
from fabric.client.errors import ItemFailed
from fabric.client.inputs import fields_of
from fabric.client.options import job_options
from fabric.client.pace import WINDOW_ITEMS, Pace

if TYPE_CHECKING:
    from fabric.client._sync.client import Client

THREADS = 8
"""So many jobs are under way at most."""
LINGER_S = 0.02
"""An item waits so long for others to go with it."""
Waiting = tuple["Future[Any]", dict[str, Any]]


class Executor:
    """Runs items through one model. Threads submit, wait and fetch; each job of a batch is one thread's work."""

    def __init__(
        self, client: "Client", model: str, *, window: int = WINDOW_ITEMS, batch: int | None = None, **options: Any
    ) -> None:
        """Run through `client`, which stays open for as long.

        Args:
            client: The fabric.
            model: Name, name:version or id.
            window: So many items are under way at most.
            batch: Items of one job; None: small at first, more while jobs are quick.
            options: As for `submit`, for each of the jobs.
        """
        job_options(options)
        self._client, self._options = client, options
        self._version = client.models.get(model)
        self._fields = fields_of(self._version)
        self._pace, self._window = Pace(window, batch), window
        self._waiting: deque[Waiting] = deque()
        self._under_way: list[Underway] = []
        self._changed = threading.Condition()
        self._is_shut = self._is_given_up = False
        self._submitted = 0
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def submit(self, item: Any) -> "Future[Any]":
        """One item, as `map` takes them; waits while as many as the window holds have not begun.

        Returns:
            A future of the row of the only output, or of a dict of rows by name; its exception is an ItemFailed, or what the
            endpoint refused.

        Raises:
            ValueError: the item is not what the model takes.
            RuntimeError: the executor was shut down.
        """
        values = item_of(item, self._fields)
        future: Future[Any] = Future()
        with self._changed:
            self._changed.wait_for(lambda: self._is_shut or len(self._waiting) < self._window)
            if self._is_shut:
                raise RuntimeError("the executor was shut down; make another one")
            self._waiting.append((future, values))
            if len(self._threads) < THREADS:
                self._threads.append(threading.Thread(target=self._work, name="fabric-executor", daemon=True))
                self._threads[-1].start()
            self._changed.notify_all()
        return future

    def map(self, items: Iterable[Any], *, timeout: float | None = None) -> Iterator[Any]:
        """Results in the order of the items, which are all submitted first, as in `concurrent.futures`; `client.map` is lazy.

        Args:
            items: As for `submit`.
            timeout: Seconds to wait for one result.
        """
        futures = [self.submit(item) for item in items]

        def results() -> Iterator[Any]:
            try:
                for future in futures:
                    yield future.result(timeout)
            finally:
                for future in futures:
                    future.cancel()

        return results()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing more, and finish what there is.

        Args:
            wait: Return when all futures are done.
            cancel_futures: Cancel what has not begun, and the jobs that are under way.
        """
        with self._changed:
            self._is_shut = True
            if cancel_futures:
                self._is_given_up = True
                while self._waiting:
                    self._waiting.popleft()[0].cancel()
            jobs = [one.job for one in self._under_way if one.job is not None] if cancel_futures else []
            self._changed.notify_all()
        cancel_all(jobs)
        if wait:
            for thread in self._threads:
                thread.join()

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            futures, batch = taken
            try:
                self._run(futures, batch)
            except Exception as error:
                for future in futures:
                    if not future.done():
                        future.set_exception(error)
            finally:
                with self._changed:
                    self._pace.delivered(batch.count)
                    self._changed.notify_all()

    def _run(self, futures: "list[Future[Any]]", batch: Batch) -> None:
        begun = begin(batch, lambda version_id, values: self._client.submit(version_id, values, **self._options), self._version)
        with self._changed:
            self._under_way.append(begun)
            unwanted = [begun.job] if self._is_given_up and begun.job is not None else []
        cancel_all(unwanted)
        try:
            outcomes = begun.outcomes(self._version["results"])
        finally:
            with self._changed:
                self._under_way.remove(begun)
        if begun.job is not None:
            with self._changed:
                self._pace.took(float(begun.job.facts["run_s"]))
        for future, outcome in zip(futures, outcomes, strict=True):
            if isinstance(outcome, ItemFailed):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    def _take(self) -> "tuple[list[Future[Any]], Batch] | None":
        """The next batch of items that are alike; None when there will be none any more."""
        with self._changed:
            while True:
                self._changed.wait_for(self._has_work_or_end)
                if not self._waiting:
                    return None
                self._changed.wait_for(self._is_enough, LINGER_S)
                if taken := self._gather():
                    return taken

    def _has_work_or_end(self) -> bool:
        return self._pace.has_room(0) if self._waiting else self._is_shut

    def _is_enough(self) -> bool:
        return self._is_shut or len(self._waiting) >= self._pace.batch_items()

    def _gather(self) -> "tuple[list[Future[Any]], Batch] | None":
        futures: list[Future[Any]] = []
        batch, kind = Batch(self._submitted), None
        most = self._pace.batch_items()
        while self._waiting and batch.count < most:
            future, values = self._waiting[0]
            if kind is not None and kind_of(values) != kind:
                break
            self._waiting.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            kind = kind_of(values)
            futures.append(future)
            for name, value in values.items():
                batch.values.setdefault(name, []).append(value)
        self._submitted += batch.count
        self._pace.began(batch.count)
        self._changed.notify_all()
        return (futures, batch) if futures else None
