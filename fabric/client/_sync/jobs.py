# Made of fabric/client/_async/jobs.py by `make docs`; edit that one.
"""Your jobs: find them again, from any process, and run them again."""

from typing import Any

from fabric.client._sync.files import Files
from fabric.client._sync.inputs import job_inputs
from fabric.client._sync.job import Job
from fabric.client._sync.models import Models
from fabric.client._sync.transport import Transport
from fabric.client.display import JobRows
from fabric.client.inputs import Input
from fabric.client.options import job_options


class Jobs:
    """`client.jobs`."""

    def __init__(self, transport: Transport, files: Files, models: Models) -> None:
        """Speak through `transport`; inputs are uploaded through `files` for what `models` say of them."""
        self._transport, self._files, self._models = transport, files, models

    def get(self, job_id: str) -> Job:
        """A handle on a job, from any process."""
        return Job(self._transport, self._transport.request("GET", f"/api/v1/jobs/{job_id}"))

    def rerun(self, job_id: str, inputs: Input = None, **options: Any) -> Job:
        """Submit a job as it was once submitted, with other inputs or options where they are given.

        Args:
            job_id: Of the job that was.
            inputs: As for `submit`; None: the same.
            options: As for `submit`.

        Raises:
            InvalidInput: what does not fit, and where.
            InsufficientFunds: the wallet cannot cover the hold.
        """
        body = job_options(options)
        if inputs is not None:
            model = str((self.get(job_id)).facts["model"])
            body["inputs"] = job_inputs(inputs, self._files, self._models, model)
        return Job(self._transport, self._transport.request("POST", f"/api/v1/jobs/{job_id}/rerun", json=body))

    def list(self, *, limit: int | None = 50, labels: dict[str, str] | None = None, **filters: Any) -> JobRows:
        """Your jobs, newest first.

        Args:
            limit: At most so many; None: all.
            labels: Only jobs with all of these.
            filters: status, model, q (a word in the model's name or a label), created_after, created_before (RFC 3339).
        """
        if labels:
            filters["label"] = [f"{name}:{value}" for name, value in labels.items()]
        return JobRows(self._transport.rows("/api/v1/jobs", limit=limit, **filters))
