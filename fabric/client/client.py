"""Client: credentials, then .jobs, .models, .files, .wallet, .providers, .prices, .account, .keys."""

import os
from pathlib import Path
from typing import Any

from fabric.client.account import Account, Keys
from fabric.client.files import Files
from fabric.client.inputs import Input, job_inputs
from fabric.client.jobs import Job, Jobs
from fabric.client.models import Models
from fabric.client.prices import Prices
from fabric.client.providers import Providers
from fabric.client.transport import Transport
from fabric.client.trust import Trust
from fabric.client.wallet import Wallet

DEFAULT_URL = "http://127.0.0.1:8700"


class Client:
    """A fabric, from a notebook or a script.

    client = Client()                              # FABRIC_URL, FABRIC_API_KEY
    job = client.submit("digits", images).wait()
    probabilities = job.results()["probabilities"]
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout_s: float = 60.0,
        ca_file: str | Path | None = None,
        fingerprint: str | None = None,
        allow_plaintext: bool | None = None,
    ) -> None:
        """Connect lazily.

        Args:
            url: The endpoint; default FABRIC_URL, else http://127.0.0.1:8700.
            api_key: The credential; default FABRIC_API_KEY.
            timeout_s: For one request.
            ca_file: Certificates (PEM) to accept beside the usual authorities; default FABRIC_CA_FILE.
            fingerprint: `sha256:…` of the one certificate to accept, as `fabric up` prints it; default FABRIC_FINGERPRINT.
            allow_plaintext: Send the credential over http:// beyond this machine, because the network is encrypted already;
                default FABRIC_ALLOW_PLAINTEXT.

        Raises:
            PlaintextRefused: the credential would cross the network in clear.
        """
        trust = Trust(ca_file=ca_file, fingerprint=fingerprint, allow_plaintext=allow_plaintext)
        key = api_key or os.environ.get("FABRIC_API_KEY")
        self._transport = Transport(url or os.environ.get("FABRIC_URL") or DEFAULT_URL, key, timeout_s=timeout_s, trust=trust)
        self.account = Account(self._transport)
        self.files = Files(self._transport)
        self.keys = Keys(self._transport)
        self.jobs = Jobs(self._transport)
        self.models = Models(self._transport)
        self.prices = Prices(self._transport)
        self.providers = Providers(self._transport)
        self.wallet = Wallet(self._transport)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client {self._transport.url}>"

    def close(self) -> None:
        """Give the connections back."""
        self._transport.close()

    def quote(self, model: str, inputs: Input = None, *, items: int | None = None, **options: Any) -> dict[str, Any]:
        """What a job would cost and how long it would take now.

        Args:
            model: Name, name:version or id.
            inputs: As for `submit`; or
            items: only how many there will be.
            options: As for `submit`.
        """
        body: dict[str, Any] = {"model": model, **job_options(options)}
        if items is not None:
            body["items"] = items
        else:
            body["inputs"] = self._inputs(model, inputs)
        return dict(self._transport.request("POST", "/api/v1/quotes", json=body))

    def submit(self, model: str, inputs: Input, **options: Any) -> Job:
        """Submit a job. Returns at once with a handle; nothing is charged unless it was accepted whole.

        Args:
            model: Name, name:version or id.
            inputs: An array, a path (.npy, .npz, image), a list of paths or bytes (one item each), uploaded files, or a dict of those
                by input name. Axis 0 is the item axis.
            options: budget_usd, max_price_usd_per_hour, deadline_s, priority, own_machines, requirements, items_per_subtask,
                labels, results_days, quote (the id of one for the same work), idempotency_key.

        Raises:
            InvalidInput: what does not fit, and where.
            InsufficientFunds: the wallet cannot cover the hold.
        """
        key = options.pop("idempotency_key", None)
        body = {"model": model, "inputs": self._inputs(model, inputs), **job_options(options)}
        headers = {"Idempotency-Key": key} if key else None
        return Job(self._transport, self._transport.request("POST", "/api/v1/jobs", json=body, headers=headers))

    def dry_run(self, model: str, inputs: Input, **options: Any) -> dict[str, Any]:
        """Check and price a job as `submit` would, and do nothing: items, subtasks, quote, and whether the wallet can cover it.

        Args:
            model: As for `submit`.
            inputs: As for `submit`.
            options: As for `submit`.

        Raises:
            InvalidInput: what does not fit, and where.
        """
        body = {"model": model, "inputs": self._inputs(model, inputs), **job_options(options)}
        return dict(self._transport.request("POST", "/api/v1/jobs/dry-run", json=body))

    def job(self, job_id: str) -> Job:
        """A handle on a job, from any process."""
        return self.jobs.get(job_id)

    def _inputs(self, model: str, inputs: Input) -> list[dict[str, Any]]:
        return job_inputs(inputs, self.files, lambda: list(self.models.get(model)["inputs"]))


def job_options(options: dict[str, Any]) -> dict[str, Any]:
    """Keyword options as fields of a job's body.

    Raises:
        TypeError: an option that no job has.
    """
    known = {
        "budget_usd", "max_price_usd_per_hour", "deadline_s", "priority", "own_machines", "requirements", "labels", "results_days", "quote",
    }  # fmt: skip
    body: dict[str, Any] = {}
    for name, value in options.items():
        if name == "items_per_subtask":
            body["split"] = {"items_per_subtask": value}
        elif name in known:
            body[name] = str(value) if name.endswith(("_usd", "_per_hour")) else value
        else:
            raise TypeError(f"unknown option {name!r}; there are {sorted(known | {'items_per_subtask'})}")
    return body
