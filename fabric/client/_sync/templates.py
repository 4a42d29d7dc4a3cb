# Made of fabric/client/_async/templates.py by `make docs`; edit that one.
"""Jobs saved under a name, to be submitted again and again."""

from typing import Any

from fabric.client._sync.files import Files
from fabric.client._sync.inputs import job_inputs
from fabric.client._sync.job import Job
from fabric.client._sync.models import Models
from fabric.client._sync.transport import Transport
from fabric.client.display import Rows, Shown
from fabric.client.inputs import Input
from fabric.client.options import job_options

TEMPLATES = "/api/v1/job-templates"


class Templates:
    """`client.templates`."""

    def __init__(self, transport: Transport, files: Files, models: Models) -> None:
        """Speak through `transport`; inputs are uploaded through `files` for what `models` say of them."""
        self._transport, self._files, self._models = transport, files, models

    def save(self, name: str, model: str, inputs: Input = None, **options: Any) -> Shown:
        """Save a job, or the part of one that stays the same, in place of what had that name.

        Args:
            name: Of the template.
            model: Name, name:version or id.
            inputs: As for `submit`; may be left out and given at each submit.
            options: As for `submit`.
        """
        body = {"name": name, "model": model, **job_options(options), **self._given(model, inputs)}
        return Shown(self._transport.request("POST", TEMPLATES, json=body))

    def list(self) -> Rows:
        """Your templates, newest first."""
        return self._transport.rows(TEMPLATES)

    def get(self, name: str) -> Shown:
        """One template, by name or id; `request` is what it says of a job."""
        return Shown(self._transport.request("GET", f"{TEMPLATES}/{name}"))

    def submit(self, name: str, inputs: Input = None, **options: Any) -> Job:
        """Submit a job as the template says; inputs and options given here count instead of its own.

        Raises:
            InvalidInput: what does not fit, and where.
            InsufficientFunds: the wallet cannot cover the hold.
        """
        model = "" if inputs is None else str((self.get(name))["request"]["model"])
        body = {**job_options(options), **self._given(model, inputs)}
        return Job(self._transport, self._transport.request("POST", f"{TEMPLATES}/{name}/jobs", json=body))

    def delete(self, name: str) -> None:
        """Forget a template; jobs of it stay."""
        self._transport.send("DELETE", f"{TEMPLATES}/{name}")

    def _given(self, model: str, inputs: Input) -> dict[str, Any]:
        return {} if inputs is None else {"inputs": job_inputs(inputs, self._files, self._models, model)}
