"""Keyword options of a job, as fields of its body."""

from typing import Any

OPTIONS = {
    "budget_usd", "max_price_usd_per_hour", "deadline_s", "priority", "own_machines", "requirements", "labels", "results_days", "quote",
}  # fmt: skip


def job_options(options: dict[str, Any]) -> dict[str, Any]:
    """Keyword options as fields of a job's body.

    Raises:
        TypeError: an option that no job has.
    """
    body: dict[str, Any] = {}
    for name, value in options.items():
        if name == "items_per_subtask":
            body["split"] = {"items_per_subtask": value}
        elif name in OPTIONS:
            body[name] = str(value) if name.endswith(("_usd", "_per_hour")) else value
        else:
            raise TypeError(f"unknown option {name!r}; there are {sorted(OPTIONS | {'items_per_subtask'})}")
    return body
