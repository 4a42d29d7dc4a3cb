"""Finds what breaks a client when one OpenAPI document replaces another. `/api/v1` only grows."""

from collections.abc import Iterator, Mapping
from typing import Any

METHODS = ("get", "put", "post", "delete", "patch", "head", "options")
UPPER_BOUNDS = ("maxLength", "maximum", "exclusiveMaximum", "maxItems")
LOWER_BOUNDS = ("minLength", "minimum", "exclusiveMinimum", "minItems")
Schema = Mapping[str, Any]


def breaking_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """One line for each thing that worked with `old` and does not with `new`."""
    return list(_Comparison(old, new).all())


class _Comparison:
    def __init__(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        self._old = old
        self._new = new

    def all(self) -> Iterator[str]:
        for path, operations in self._old["paths"].items():
            for method in METHODS:
                if method in operations:
                    now = self._new["paths"].get(path, {}).get(method)
                    where = f"{method.upper()} {path}"
                    yield from [f"{where}: gone"] if now is None else self._operation(where, operations[method], now)

    def _operation(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        yield from self._security(where, old.get("security"), new.get("security"))
        yield from self._parameters(where, old.get("parameters", []), new.get("parameters", []))
        yield from self._request(where, old.get("requestBody"), new.get("requestBody"))
        for status, response in old["responses"].items():
            if not status.startswith("2"):
                continue
            if status not in new["responses"]:
                yield f"{where}: no longer answers {status}"
                continue
            now = new["responses"][status].get("content", {})
            for media_type, content in response.get("content", {}).items():
                if media_type not in now:
                    yield f"{where}: no longer answers {media_type}"
                else:
                    yield from self._shown(f"{where} → {status}", content.get("schema", {}), now[media_type].get("schema", {}), ())

    @staticmethod
    def _security(where: str, old: Any, new: Any) -> Iterator[str]:
        before = {f"{name} {scope}" for entry in old or [] for name, scopes in entry.items() for scope in ["", *scopes]}
        now = {f"{name} {scope}" for entry in new or [] for name, scopes in entry.items() for scope in ["", *scopes]}
        yield from (f"{where}: asks for {needed.strip()}" for needed in sorted(now - before))

    def _parameters(self, where: str, old: list[Schema], new: list[Schema]) -> Iterator[str]:
        before = {(p["in"], p["name"]): p for p in old}
        now = {(p["in"], p["name"]): p for p in new}
        for key, parameter in before.items():
            if key not in now:
                yield f"{where}: parameter {key[1]} is gone"
            else:
                yield from self._taken(f"{where} ?{key[1]}", parameter["schema"], now[key]["schema"], ())
        for key, parameter in now.items():
            if parameter.get("required") and not before.get(key, {}).get("required"):
                yield f"{where}: parameter {key[1]} has become necessary"

    def _request(self, where: str, old: Schema | None, new: Schema | None) -> Iterator[str]:
        if old is None:
            if new is not None and new.get("required"):
                yield f"{where}: a body has become necessary"
            return
        if new is None:
            yield f"{where}: takes no body any more"
            return
        if new.get("required") and not old.get("required"):
            yield f"{where}: a body has become necessary"
        for media_type, content in old["content"].items():
            if media_type not in new["content"]:
                yield f"{where}: no longer takes {media_type}"
            else:
                yield from self._taken(f"{where} ←", content.get("schema", {}), new["content"][media_type].get("schema", {}), ())

    def _taken(self, where: str, old: Schema, new: Schema, seen: tuple[str, ...]) -> Iterator[str]:
        """What callers may send: everything that was accepted still is."""
        if (pair := f"{old.get('$ref')} {new.get('$ref')}") in seen:
            return  # a schema that contains itself
        seen = (*seen, pair) if "$ref" in old else seen
        before, now = self._variants(self._old, old), self._variants(self._new, new)
        for variant in before:
            found = [list(self._taken_variant(where, variant, other, seen)) for other in now]
            yield from min(found, key=len) if found else []

    def _taken_variant(self, where: str, old: Schema, new: Schema, seen: tuple[str, ...]) -> Iterator[str]:
        if new == {} or old == new and "$ref" not in str(old):
            return
        if "type" in new and not _types(old) <= _types(new) | ({"integer"} if "number" in _types(new) else set()):
            yield f"{where}: was {_named(old)}, is {_named(new)}"
            return
        if (allowed := _values(new)) is not None:
            lost = set(map(str, _values(old) or ["anything"])) - set(map(str, allowed))
            yield from (f"{where}: no longer takes {value}" for value in sorted(lost))
        yield from (f"{where}: {bound} is stricter" for bound in _stricter_bounds(old, new))
        properties = new.get("properties", {})
        for name, schema in old.get("properties", {}).items():
            if name in properties:
                yield from self._taken(f"{where}.{name}", schema, properties[name], seen)
            elif new.get("additionalProperties") is False:
                yield f"{where}.{name}: no longer taken"
        yield from (f"{where}.{name}: has become necessary" for name in _required(new) - _required(old))
        if "items" in old and "items" in new:
            yield from self._taken(f"{where}[]", old["items"], new["items"], seen)

    def _shown(self, where: str, old: Schema, new: Schema, seen: tuple[str, ...]) -> Iterator[str]:
        """What callers get: everything that was there still is, in the same shape."""
        if (pair := f"{old.get('$ref')} {new.get('$ref')}") in seen:
            return  # a schema that contains itself
        seen = (*seen, pair) if "$ref" in old else seen
        before, now = self._variants(self._old, old), self._variants(self._new, new)
        for variant in now:
            found = [list(self._shown_variant(where, other, variant, seen)) for other in before]
            yield from min(found, key=len) if found else []

    def _shown_variant(self, where: str, old: Schema, new: Schema, seen: tuple[str, ...]) -> Iterator[str]:
        if "type" in old and not _types(new) <= _types(old):
            yield f"{where}: was {_named(old)}, is {_named(new)}"
            return
        for name, schema in old.get("properties", {}).items():
            if name not in new.get("properties", {}):
                yield f"{where}.{name}: gone"
            else:
                yield from self._shown(f"{where}.{name}", schema, new["properties"][name], seen)
        lost = (_required(old) - _required(new)) & set(new.get("properties", {}))
        yield from (f"{where}.{name}: may now be missing" for name in sorted(lost))
        if "items" in old:
            yield from self._shown(f"{where}[]", old["items"], new.get("items", {}), seen)

    @staticmethod
    def _variants(document: Mapping[str, Any], schema: Schema) -> list[Schema]:
        while "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        found = schema.get("anyOf") or schema.get("oneOf")
        if found is None:
            return [schema]
        return [variant for option in found for variant in _Comparison._variants(document, option)]


def _types(schema: Schema) -> set[str]:
    named = schema.get("type", [])
    return {named} if isinstance(named, str) else set(named)


def _values(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _required(schema: Schema) -> set[str]:
    return set(schema.get("required", []))


def _stricter_bounds(old: Schema, new: Schema) -> Iterator[str]:
    infinity = float("inf")
    yield from (bound for bound in UPPER_BOUNDS if new.get(bound, infinity) < old.get(bound, infinity))
    yield from (bound for bound in LOWER_BOUNDS if new.get(bound, -infinity) > old.get(bound, -infinity))


def _named(schema: Schema) -> str:
    return "/".join(sorted(_types(schema))) or "anything"
