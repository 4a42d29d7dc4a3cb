"""The notebook client: `Client`, its asynchronous twin `AsyncClient`, jobs and errors. Pure Python; needs no Ray and no server code."""

from fabric.client._async.client import AsyncClient
from fabric.client._async.job import AsyncJob
from fabric.client._sync.job import Job
from fabric.client.client import Client
from fabric.client.errors import FabricClientError, ItemFailed, JobFailed, JobTimeout, PartialResult
from fabric.client.executor import Executor
from fabric.client.timeline import Timeline

__all__ = [
    "AsyncClient", "AsyncJob", "Client", "Executor", "FabricClientError", "ItemFailed", "Job", "JobFailed", "JobTimeout",
    "PartialResult", "Timeline",
]  # fmt: skip
