"""Text that Postgres cannot keep is the caller's mistake, wherever it is sent, and no failure of ours."""

import pytest


@pytest.mark.parametrize("text", [r"a\u0000b", r"a\ud800b"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/v1/providers/join-tokens", '{"label": "TEXT"}'),
        ("POST", "/api/v1/job-templates", '{"name": "x", "model": "m", "labels": {"a": "TEXT"}}'),
        ("PATCH", "/api/v1/jobs/job_00000000000000000000000000", '{"labels": {"a": "TEXT"}}'),
    ],
)
async def test_text_that_cannot_be_stored_is_refused_in_words(api, alice, method, path, body, text):
    headers = alice.headers | {"Content-Type": "application/json"}
    answer = await api.request(method, path, content=body.replace("TEXT", text), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text


async def test_a_search_for_nothing_that_can_be_stored_is_refused_in_words(api, alice):
    for path in ("/api/v1/jobs?q=a%00b", "/api/v1/jobs?label=a:%00", "/api/v1/job-templates/a%00b"):
        assert (await api.get(path, headers=alice.headers)).status_code == 422
