"""`--explain` shows what a command says to the endpoint, and never a secret."""

import io
import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fabric.cli.explain import HIDDEN, SECRETS, TEXT_MAX, Explanation, shown_body, shown_url, without_secrets


def explained(request: httpx.Request, status: int = 200) -> str:
    console = Console(width=300, record=True, file=io.StringIO())
    Explanation(console)(httpx.Response(status, headers={"x-request-id": "req_1"}, request=request))
    return console.export_text()


def test_a_call_is_shown_as_it_was_made_without_the_credential():
    request = httpx.Request(
        "POST", "http://127.0.0.1:8700/api/v1/jobs", json={"model": "digits"}, headers={"Authorization": "Bearer fk_very-secret"}
    )
    told = explained(request, 201)
    assert "→ POST http://127.0.0.1:8700/api/v1/jobs" in told
    assert '{"model": "digits"}' in told
    assert "← 201 Created  (req_1)" in told
    assert "fk_very-secret" not in told


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_secrets_of_a_body_are_not_shown(name):
    request = httpx.Request("POST", "http://a/", json={"outer": [{name: "hunter2"}], "email": "ada@example.com"})
    assert "hunter2" not in shown_body(request)
    assert "ada@example.com" in shown_body(request)


JSON = st.recursive(st.none() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*SECRETS, "a", "b"]), inner, max_size=3))  # fmt: skip


@given(JSON)
def test_only_secrets_are_replaced(value):
    def leaves(value, path=()):
        if isinstance(value, dict):
            return [leaf for name, inner in value.items() for leaf in leaves(inner, (*path, name))]
        if isinstance(value, list):
            return [leaf for at, inner in enumerate(value) for leaf in leaves(inner, (*path, at))]
        return [(path, value)]

    kept = dict(leaves(without_secrets(value)))
    for path, leaf in leaves(value):
        if not SECRETS & set(path):
            assert kept[path] == leaf
    json.dumps(without_secrets(value))


def test_a_signature_is_a_credential_too():
    signed = httpx.URL("https://store/bucket/object?X-Amz-Signature=abc&X-Amz-Date=1")
    assert shown_url(signed) == f"https://store/bucket/object?{HIDDEN}"
    assert shown_url(httpx.URL("http://a/api/v1/jobs?limit=2")) == "http://a/api/v1/jobs?limit=2"


def test_what_is_no_json_is_told_by_kind_and_size_and_what_is_long_is_cut():
    many = httpx.Request("POST", "http://a/", files={"file": ("a.npy", b"x" * 99)})
    many.read()
    assert shown_body(many).startswith("(multipart/form-data, ")
    long = httpx.Request("POST", "http://a/", json={"text": "y" * TEXT_MAX * 2})
    assert len(shown_body(long)) < TEXT_MAX + 100
    streamed = httpx.Request("PUT", "http://a/", content=iter([b"x"]))
    assert "streamed" in shown_body(streamed)
    assert shown_body(httpx.Request("GET", "http://a/")) == ""
