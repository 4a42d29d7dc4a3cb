"""The committed OpenAPI document is a promise: what worked with it works with the present app."""

import copy
import json
from pathlib import Path

import pytest

from docs.api_changes import breaking_changes
from fabric.api.app import openapi

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"

SMALL = {
    "paths": {
        "/things": {
            "post": {
                "security": [{"Bearer": ["things"]}],
                "parameters": [
                    {"in": "query", "name": "limit", "schema": {"type": "integer", "maximum": 200}},
                    {"in": "query", "name": "kind", "schema": {"anyOf": [{"enum": ["a", "b"], "type": "string"}, {"type": "null"}]}},
                ],
                "requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/In"}}}},
                "responses": {
                    "201": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Out"}}}},
                    "default": {"content": {}},
                },
            }
        }
    },
    "components": {
        "schemas": {
            "In": {
                "type": "object", "additionalProperties": False, "required": ["name"],
                "properties": {"name": {"type": "string", "maxLength": 10}, "size": {"type": "number"}, "like": {"$ref": "#/components/schemas/In"}},
            },
            "Out": {
                "type": "object", "required": ["id", "parts"],
                "properties": {
                    "id": {"type": "string"},
                    "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                    "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Out"}},
                },
            },
        }
    },
}  # fmt: skip


@pytest.fixture
def changed():
    return copy.deepcopy(SMALL)


def operation(document):
    return document["paths"]["/things"]["post"]


def schema(document, name):
    return document["components"]["schemas"][name]


BREAKS = {
    "a route goes": lambda d: d["paths"].pop("/things"),
    "a method goes": lambda d: d["paths"]["/things"].pop("post"),
    "a parameter goes": lambda d: operation(d)["parameters"].pop(),
    "a parameter becomes necessary": lambda d: operation(d)["parameters"][0].update(required=True),
    "a necessary parameter is added": lambda d: operation(d)["parameters"].append(
        {"in": "query", "name": "x", "required": True, "schema": {}}
    ),
    "a limit shrinks": lambda d: operation(d)["parameters"][0]["schema"].update(maximum=100),
    "a value is refused": lambda d: operation(d)["parameters"][1]["schema"]["anyOf"][0].update(enum=["a"]),
    "null is refused": lambda d: operation(d)["parameters"][1]["schema"]["anyOf"].pop(),
    "another scope is needed": lambda d: operation(d).update(security=[{"Bearer": ["things", "more"]}]),
    "a media type goes": lambda d: operation(d)["requestBody"].update(content={"text/plain": {}}),
    "a field is not taken": lambda d: schema(d, "In")["properties"].pop("size"),
    "a field becomes necessary": lambda d: schema(d, "In")["required"].append("size"),
    "a field changes its type": lambda d: schema(d, "In")["properties"]["name"].update(type="integer"),
    "a number must be whole": lambda d: schema(d, "In")["properties"]["size"].update(type="integer"),
    "a text must be shorter": lambda d: schema(d, "In")["properties"]["name"].update(maxLength=9),
    "a success has another status": lambda d: operation(d)["responses"].update({"200": operation(d)["responses"].pop("201")}),
    "an answer has another media type": lambda d: operation(d)["responses"]["201"].update(content={"text/plain": {}}),
    "an answer lacks a field": lambda d: schema(d, "Out")["properties"].pop("note"),
    "an answer may lack a field": lambda d: schema(d, "Out")["required"].remove("id"),
    "an answer's field changes its type": lambda d: schema(d, "Out")["properties"]["id"].update(type="integer"),
    "an answer's field may be null": lambda d: schema(d, "Out")["properties"].update(
        id={"anyOf": [{"type": "string"}, {"type": "null"}]}
    ),
    "an answer's list holds something else": lambda d: schema(d, "Out")["properties"]["parts"].update(items={"type": "string"}),
}

GROWTH = {
    "nothing": lambda d: None,
    "a route is added": lambda d: d["paths"].update({"/more": {"get": {"responses": {}}}}),
    "an optional parameter is added": lambda d: operation(d)["parameters"].append({"in": "query", "name": "x", "schema": {}}),
    "a limit grows": lambda d: operation(d)["parameters"][0]["schema"].update(maximum=300),
    "a value is added": lambda d: operation(d)["parameters"][1]["schema"]["anyOf"][0].update(enum=["a", "b", "c"]),
    "an optional field is taken": lambda d: schema(d, "In")["properties"].update(more={"type": "string"}),
    "a field need not be given": lambda d: schema(d, "In")["required"].remove("name"),
    "a scope is dropped": lambda d: operation(d).update(security=[{"Bearer": []}]),
    "an answer says more": lambda d: schema(d, "Out")["properties"].update(more={"type": "string"}),
    "an answer is never null any more": lambda d: schema(d, "Out")["properties"].update(note={"type": "string"}),
    "an answer's field is always there": lambda d: schema(d, "Out")["required"].append("note"),
}


@pytest.mark.parametrize("change", BREAKS)
def test_a_change_that_breaks_a_client_is_found(changed, change):
    BREAKS[change](changed)
    assert len(breaking_changes(SMALL, changed)) >= 1


@pytest.mark.parametrize("change", GROWTH)
def test_growth_is_no_break(changed, change):
    GROWTH[change](changed)
    assert breaking_changes(SMALL, changed) == []


def test_the_app_keeps_what_the_committed_document_promises():
    broken = breaking_changes(json.loads(COMMITTED.read_text()), openapi())
    assert broken == [], "these break clients of /api/v1; keep them working beside the new: " + "; ".join(broken)


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does():
    names = []
    for path, operations in openapi()["paths"].items():
        for method, details in operations.items():
            names.append(details["operationId"])
            assert details.get("description") or details.get("summary"), f"{method} {path}"
            assert "default" in details["responses"], f"{method} {path} does not say how it fails"
    assert len(names) == len(set(names)), sorted(n for n in names if names.count(n) > 1)
