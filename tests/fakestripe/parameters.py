"""Requests as Stripe reads them: form fields nested by brackets, each checked against the SDK's own typed parameters."""

import importlib
import json
import typing
from functools import cache
from types import UnionType
from typing import Any, Union
from urllib.parse import parse_qsl

import typing_extensions
from stripe._request_options import RequestOptions
from stripe._stripe_context import StripeContext
from stripe._stripe_object import UntypedStripeObject

from tests.fakestripe.refusals import Refused

OPTIONS = frozenset(RequestOptions.__annotations__)  # the SDK mixes them into parameters; they never travel in a body
NAMES = {"StripeContext": StripeContext, "UntypedStripeObject": UntypedStripeObject}
MARKS = (typing.NotRequired, typing.Required, typing_extensions.NotRequired)


@cache
def fields_of(typed: type) -> dict[str, tuple[Any, bool]]:
    """The parameters of a TypedDict: the type of each, and whether it must be there."""
    module = importlib.import_module(typed.__module__)
    hints = typing.get_type_hints(typed, localns={**vars(typing), **vars(module), **NAMES}, include_extras=True)
    found = {}
    for name, hint in hints.items():
        if name in OPTIONS and "v2" not in typed.__module__:
            continue
        optional = typing.get_origin(hint) in MARKS
        found[name.rstrip("_") if name.rstrip("_") in {"from"} else name] = (hint.__args__[0] if optional else hint, not optional)
    return found


def read_form(text: str) -> dict[str, Any]:
    """`a[b][0]=c` as {"a": {"b": {"0": "c"}}}; lists are told from objects by their type later."""
    root: dict[str, Any] = {}
    for key, value in parse_qsl(text, keep_blank_values=True):
        head, *rest = key.replace("]", "").split("[")
        place = root
        for part, following in zip([head, *rest], rest, strict=False):
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise Refused(400, "invalid_request_error", f"Invalid {key}: {following} under a plain value", param=key)
        place[rest[-1] if rest else head] = value
    return root


def read_json(body: bytes) -> dict[str, Any]:
    """A v2 body."""
    if not body:
        return {}
    found = json.loads(body)
    if not isinstance(found, dict):
        raise Refused(400, "invalid_request_error", "The body is no object")
    return found


def checked(typed: type, given: dict[str, Any], path: str = "") -> dict[str, Any]:
    """The parameters with their Python values.

    Raises:
        Refused: one is unknown, missing or of another type, as Stripe would say it.
    """
    fields, values = fields_of(typed), {}
    for name, raw in given.items():
        where = f"{path}[{name}]" if path else name
        if name not in fields:
            raise Refused(
                400, "invalid_request_error", f"Received unknown parameter: {where}", code="parameter_unknown", param=where
            )
        values[name] = _value(fields[name][0], raw, where)
    for name, (_, required) in fields.items():
        if required and name not in given:
            where = f"{path}[{name}]" if path else name
            raise Refused(
                400, "invalid_request_error", f"Missing required param: {where}.", code="parameter_missing", param=where
            )
    return values


def _value(hint: Any, raw: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in {Union, UnionType}:
        return _first(hint.__args__, raw, where)
    if origin is typing.Literal:
        if raw not in hint.__args__:
            raise _wrong(where, f"must be one of {', '.join(map(repr, hint.__args__))}")
        return raw
    if origin in {list, typing.List}:  # noqa: UP006
        items = raw if isinstance(raw, list) else [raw[k] for k in sorted(raw, key=int)] if isinstance(raw, dict) else None
        if items is None:
            raise _wrong(where, "must be an array")
        return [_value(hint.__args__[0], item, f"{where}[{n}]") for n, item in enumerate(items)]
    if origin is dict:
        if not isinstance(raw, dict) or not all(isinstance(v, str) for v in raw.values()):
            raise _wrong(where, "must be a hash of strings")
        return dict(raw)
    if typing.is_typeddict(hint) or typing_extensions.is_typeddict(hint):
        if not isinstance(raw, dict):
            raise _wrong(where, "must be a hash")
        return checked(hint, raw, where)
    return _plain(hint, raw, where)


def _first(choices: tuple[Any, ...], raw: Any, where: str) -> Any:
    refusal: Refused | None = None
    for choice in choices:
        if choice is type(None) or typing.get_origin(choice) is UntypedStripeObject or choice is UntypedStripeObject:
            continue
        try:
            return _value(choice, raw, where)
        except Refused as wrong:
            refusal = refusal or wrong
    assert refusal is not None
    raise refusal


def _plain(hint: Any, raw: Any, where: str) -> Any:
    if hint is bool:
        if raw in {True, "true"}:
            return True
        if raw in {False, "false"}:
            return False
        raise _wrong(where, "must be a boolean")
    if hint is int:
        if isinstance(raw, bool) or not str(raw).lstrip("-").isdigit():
            raise _wrong(where, "must be an integer")
        return int(raw)
    if hint is float:
        try:
            return float(raw)
        except ValueError:
            raise _wrong(where, "must be a number") from None
    if hint is str:
        if not isinstance(raw, str):
            raise _wrong(where, "must be a string")
        return raw
    raise AssertionError(f"no rule for {hint} at {where}")


def _wrong(where: str, why: str) -> Refused:
    return Refused(400, "invalid_request_error", f"Invalid {where}: {why}", code="parameter_invalid", param=where)
