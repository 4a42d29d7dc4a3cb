"""Commands: a group in which every command answers in words or with `--json`, shows its HTTP calls with `--explain`, and fails in one line."""

import functools
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console

from fabric.client import FabricClientError

AsJson = Annotated[bool, typer.Option("--json", help="Answer as JSON, for scripts.")]
Explain = Annotated[bool, typer.Option("--explain", help="Print the HTTP calls that this command makes.")]


@dataclass
class Manner:
    """How the present command speaks."""

    as_json: bool = False
    explain: bool = False


manner = Manner()

ADVICE = {
    "unauthenticated": "Set FABRIC_API_KEY: `fabric up` prints one, `fabric keys create` makes others.",
    "credential_expired": "fabric account login, then fabric keys create",
    "forbidden": "fabric keys list says what this key may do",
    "insufficient_funds": "fabric wallet top-up 5",
    "spending_limit": "fabric wallet limits",
    "quote_expired": "fabric quotes create",
    "quote_used": "fabric quotes create",
    "already_finished": "fabric jobs retry, or fabric jobs rerun",
    "results_deleted": "fabric jobs rerun",
    "not_onboarded": "fabric wallet onboard",
}
"""What to type next, by public error code."""


class Commands(typer.Typer):
    """A group of commands that all take `--json` and `--explain`."""

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
        """Add a command; see typer."""
        register = super().command(name, **options)

        def add(act: Callable[..., Any]) -> Callable[..., Any]:
            register(_mannered(act))
            return act

        return add


def _mannered(act: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(act, eval_str=True)

    @functools.wraps(act)
    def run(**given: Any) -> Any:
        manner.as_json, manner.explain = given.pop("as_json"), given.pop("explain")
        try:
            return act(**given)
        except FabricClientError as error:
            fail(str(error), kind=type(error).__name__, **_facts(error))
        except (ValueError, OSError) as error:  # a file that cannot be read, an amount that is none
            fail(str(error))

    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in (("as_json", AsJson), ("explain", Explain))
    ]
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in signature.parameters.values()]
    run.__signature__ = signature.replace(parameters=[*parameters, *added])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in (*parameters, *added)}
    return run


def fail(words: str, *, kind: str = "Error", exit_code: int = 1, **facts: Any) -> None:
    """End the command: one line on standard error, or a JSON object there.

    Raises:
        typer.Exit: always.
    """
    if manner.as_json:
        typer.echo(json.dumps({"error": kind, "detail": words, **facts}), err=True)
    else:
        Console(stderr=True, soft_wrap=True).print(f"[red]{kind}[/red]: ", end="")
        typer.echo(words, err=True)
        if advice := ADVICE.get(str(facts.get("code"))):
            typer.echo(advice, err=True)
    raise typer.Exit(exit_code)


def _facts(error: FabricClientError) -> dict[str, Any]:
    """What an endpoint's refusal says beside its words, as far as it says it."""
    problem = getattr(error, "problem", None) or {}
    return {name: problem[name] for name in ("status", "code", "request_id", "errors") if problem.get(name) is not None}
