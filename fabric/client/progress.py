"""The live progress bar: items, items/s and cost so far, in a terminal or a notebook."""

from typing import Any

from tqdm.auto import tqdm


class Progress:
    """A tqdm bar fed by a job's events."""

    def __init__(self, facts: dict[str, Any]) -> None:
        """Show the job as it is now."""
        progress = facts["progress"]
        self._bar = tqdm(
            total=progress["items_total"], initial=0, unit="item", desc=str(facts.get("model") or facts["id"]), leave=True
        )
        self._show(progress["items_done"] + progress.get("items_failed", 0), facts["cost"]["captured"]["usd"])

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self, data: dict[str, Any]) -> None:
        """Take in one event's data."""
        if "items_done" in data:
            cost = (data.get("captured") or {}).get("usd")
            self._show(data["items_done"] + data.get("items_failed", 0), cost)
        elif data.get("waiting_reason"):
            self._bar.set_postfix_str(f"waiting: {data['waiting_reason']}")

    def finish(self, facts: dict[str, Any]) -> None:
        """Show the end."""
        progress = facts["progress"]
        self._show(progress["items_done"] + progress.get("items_failed", 0), facts["cost"]["captured"]["usd"])

    def _show(self, items: int, cost_usd: str | None) -> None:
        self._bar.update(items - self._bar.n)
        if cost_usd is not None:
            self._bar.set_postfix_str(f"{cost_usd} USD")
