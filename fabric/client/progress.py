"""The live progress bar: items, items/s, cost so far and time left, in a terminal or a notebook."""

import warnings
from typing import Any

from tqdm import TqdmWarning

from fabric.client.display import money

with warnings.catch_warnings():  # without ipywidgets the bar is of text, which needs no warning
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm.autonotebook import tqdm


class Progress:
    """A bar fed by a job's events: a widget in a notebook that has them, else text."""

    def __init__(self, facts: dict[str, Any]) -> None:
        """Show the job as it is now."""
        progress = facts["progress"]
        done = progress["items_done"] + progress.get("items_failed", 0)
        # What was done before we looked says nothing about how fast it goes now.
        self._bar = tqdm(
            total=progress["items_total"], initial=done, unit="item", desc=str(facts.get("model") or facts["id"]), leave=True
        )
        self._tell(facts["cost"]["captured"], progress.get("items_failed", 0), facts.get("waiting_reason"))

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self, data: dict[str, Any]) -> None:
        """Take in one event's data."""
        if "items_done" in data:
            self._bar.update(data["items_done"] + data.get("items_failed", 0) - self._bar.n)
            self._tell(data.get("captured"), data.get("items_failed", 0))
        elif data.get("waiting_reason"):
            self._tell(None, 0, data["waiting_reason"])

    def finish(self, facts: dict[str, Any]) -> None:
        """Show the end."""
        self.update({**facts["progress"], "captured": facts["cost"]["captured"]})

    def _tell(self, captured: dict[str, Any] | None, failed: int, waiting_reason: str | None = None) -> None:
        parts = [
            money(captured) if captured else "", f"{failed} failed" if failed else "",
            f"waiting: {waiting_reason}" if waiting_reason else "",
        ]  # fmt: skip
        if said := ", ".join(part for part in parts if part):
            self._bar.set_postfix_str(said)
