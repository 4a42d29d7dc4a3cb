"""The notebook client: `Client`, `Job` and its errors. Pure Python; needs no Ray and no server code."""

from fabric.client.client import Client
from fabric.client.errors import FabricClientError, JobFailed, PartialResult
from fabric.client.jobs import Job

__all__ = ["Client", "FabricClientError", "Job", "JobFailed", "PartialResult"]
