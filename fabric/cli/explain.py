"""Explanation: what a command says to the endpoint and hears from it, one call after another, on standard error and without secrets."""

import json
from typing import Any

import httpx
from rich.console import Console

TEXT_MAX = 2_000
SECRETS = {
    "password", "current_password", "new_password", "token", "code", "ticket", "secret", "key", "access_token", "refresh_token",
}  # fmt: skip
HIDDEN = "…"


class Explanation:
    """Prints each call of a client as it is made, with what would repeat it."""

    def __init__(self, console: Console | None = None) -> None:
        """Print to standard error, so that what the command answers can still be piped."""
        self._console = console or Console(stderr=True, soft_wrap=True, highlight=False)

    def __call__(self, response: httpx.Response) -> None:
        """Show one call when its answer has begun."""
        request = response.request
        self._say(f"→ {request.method} {shown_url(request.url)}", "cyan")
        if said := shown_body(request):
            self._say(f"  {said}", "dim")
        request_id = response.headers.get("x-request-id")
        self._say(f"← {response.status_code} {response.reason_phrase}" + (f"  ({request_id})" if request_id else ""), "cyan")

    def _say(self, words: str, style: str) -> None:
        self._console.print(words, style=style, markup=False)


def shown_url(url: httpx.URL) -> str:
    """The address; of a signed one only what is not its signature."""
    if any(name.lower() in {"signature", "x-amz-signature", "sig"} for name in url.params):
        return f"{url.copy_with(query=None)}?{HIDDEN}"
    return str(url)


def shown_body(request: httpx.Request) -> str:
    """What was sent: JSON without its secrets, of anything else its kind and size."""
    kind = request.headers.get("content-type", "")
    try:
        content = request.content
    except httpx.RequestNotRead:
        return f"({kind or 'bytes'}, {request.headers.get('content-length', 'streamed')} bytes)"
    if not content:
        return ""
    if not kind.startswith("application/json"):
        return f"({kind.partition(';')[0] or 'bytes'}, {len(content)} bytes)"
    said = json.dumps(without_secrets(json.loads(content)), ensure_ascii=False)
    return said if len(said) <= TEXT_MAX else f"{said[:TEXT_MAX]}{HIDDEN} ({len(content)} bytes)"


def without_secrets(value: Any) -> Any:
    """The same value with what must not be shown replaced."""
    if isinstance(value, dict):
        return {name: HIDDEN if name in SECRETS and inner else without_secrets(inner) for name, inner in value.items()}
    return [without_secrets(inner) for inner in value] if isinstance(value, list) else value
