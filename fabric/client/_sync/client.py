# Made of fabric/client/_async/client.py by `make docs`; edit that one.
"""Client: credentials, then .jobs, .models, .files, .templates, .wallet, .providers, .market, .prices, .account, .keys, .webhooks."""

import os
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Any, Self

from fabric.client._sync.account import Account, Keys
from fabric.client._sync.files import Files
from fabric.client._sync.inputs import job_inputs
from fabric.client._sync.job import Job
from fabric.client._sync.jobs import Jobs
from fabric.client._sync.mapping import map_items
from fabric.client._sync.market import Market
from fabric.client._sync.models import Models
from fabric.client._sync.operator import Operator
from fabric.client._sync.prices import Prices
from fabric.client._sync.providers import Providers
from fabric.client._sync.templates import Templates
from fabric.client._sync.transport import OnCall, Transport
from fabric.client._sync.wallet import Wallet
from fabric.client._sync.webhooks import Webhooks
from fabric.client.display import DryRunFacts, QuoteFacts
from fabric.client.inputs import Input
from fabric.client.options import job_options
from fabric.client.pace import WINDOW_ITEMS, Pace
from fabric.client.trust import Trust

DEFAULT_URL = "http://127.0.0.1:8700"


class Client:
    """A fabric, from a notebook or a script.

    client = Client()                              # FABRIC_URL, FABRIC_API_KEY
    job = (client.submit("digits", images)).wait()
    probabilities = (job.results())["probabilities"]
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
        on_call: OnCall | None = None,
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
            on_call: Sees every HTTP call when its answer begins, before the body is read.

        Raises:
            PlaintextRefused: the credential would cross the network in clear.
        """
        trust = Trust(ca_file=ca_file, fingerprint=fingerprint, allow_plaintext=allow_plaintext)
        key = api_key or os.environ.get("FABRIC_API_KEY")
        where = url or os.environ.get("FABRIC_URL") or DEFAULT_URL
        self._transport = Transport(where, key, timeout_s=timeout_s, trust=trust, on_call=on_call)
        self.account = Account(self._transport)
        self.files = Files(self._transport)
        self.keys = Keys(self._transport)
        self.models = Models(self._transport)
        self.jobs = Jobs(self._transport, self.files, self.models)
        self.templates = Templates(self._transport, self.files, self.models)
        self.market = Market(self._transport)
        self.operator = Operator(self._transport)
        self.prices = Prices(self._transport)
        self.providers = Providers(self._transport)
        self.wallet = Wallet(self._transport)
        self.webhooks = Webhooks(self._transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client {self._transport.url}>"

    def close(self) -> None:
        """Give the connections back."""
        self._transport.close()

    def quote(self, model: str, inputs: Input = None, *, items: int | None = None, **options: Any) -> QuoteFacts:
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
        return QuoteFacts(self._transport.request("POST", "/api/v1/quotes", json=body))

    def submit(self, model: str, inputs: Input, **options: Any) -> Job:
        """Submit a job. Returns at once with a handle; nothing is charged unless it was accepted whole.

        Args:
            model: Name, name:version or id.
            inputs: An array, a path (.npy, .npz, image), a list of paths or bytes (one item each), uploaded files, texts for a model
                that takes texts, a table of pandas (columns by input name, or all of them as one input), or a dict of those by
                input name. Axis 0 is the item axis.
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

    def dry_run(self, model: str, inputs: Input, **options: Any) -> DryRunFacts:
        """Check and price a job as `submit` would, and do nothing: items, subtasks, quote, and whether the wallet can cover it.

        Args:
            model: As for `submit`.
            inputs: As for `submit`.
            options: As for `submit`.

        Raises:
            InvalidInput: what does not fit, and where.
        """
        body = {"model": model, "inputs": self._inputs(model, inputs), **job_options(options)}
        return DryRunFacts(self._transport.request("POST", "/api/v1/jobs/dry-run", json=body))

    def map(
        self, model: str, inputs: Any, *, window: int = WINDOW_ITEMS, batch: int | None = None, on_error: str = "raise",
        **options: Any,
    ) -> Generator[Any, None]:  # fmt: skip
        """What each item delivers, in order, as it comes: for large or endless inputs, which are read only as there is room.

        An item delivers the row of the only output, or a dict of rows by name. Ending the generator early, also by an exception,
        cancels what is under way. The jobs carry the label `map`, the same for all of one call, and run one version of the model.

        Args:
            model: Name, name:version or id.
            inputs: Any iterable of items, such as a generator: arrays of one item's shape, numbers, texts, paths, bytes or uploaded
                files, or dicts of those by input name; also an array (axis 0), a table of pandas, or a dict of columns.
            window: So many items are under way at most.
            batch: Items of one job; None: small at first, more while jobs are quick.
            on_error: "raise" raises the ItemFailed of an item in its turn; "return" yields it in the item's place.
            options: As for `submit`, for each of the jobs.

        Raises:
            ItemFailed: an item failed, and why.
            InsufficientFunds: the wallet cannot cover the next batch; what came before it was yielded.
        """
        if on_error not in {"raise", "return"}:
            raise ValueError("on_error is 'raise' or 'return'")
        if single := {"quote", "idempotency_key"} & set(options):
            raise TypeError(f"{', '.join(sorted(single))} is for one job; map makes several")
        options["labels"] = {"map": uuid.uuid4().hex, **(options.get("labels") or {})}
        job_options(options)  # a typo is told now, not at the first item

        def submit(version_id: str, values: dict[str, Input]) -> Job:
            return self.submit(version_id, values, **options)

        return map_items(self.models, model, inputs, submit, pace=Pace(window, batch), on_error=on_error)

    def job(self, job_id: str) -> Job:
        """A handle on a job, from any process."""
        return self.jobs.get(job_id)

    def _inputs(self, model: str, inputs: Input) -> list[dict[str, Any]]:
        return job_inputs(inputs, self.files, self.models, model)
