from fabric.local.haproxy_guard import NO_APPLICATION, NOT_OURS, UNAVAILABLE, UNAVAILABLE_BODY, closed

WRITTEN_BY_SERVE = """global
    log 127.0.0.1:514 local0 info
    stats socket /tmp/x/a.sock mode 666 level admin expose-fd listeners
defaults
    log global
frontend prometheus
    bind :9101
frontend http_frontend
    bind *:8700
    default_backend default_backend
backend default_backend
    http-request return status 404 content-type text/plain lf-string "Path not found."
listen stats
  bind *:8404
"""


def test_side_doors_move_to_loopback_the_endpoint_stays_and_no_404_is_made_up():
    assert closed(WRITTEN_BY_SERVE).splitlines() == [
        "global",
        "    stats socket /tmp/x/a.sock mode 600 level admin expose-fd listeners",
        "defaults",
        "    log global",
        "frontend prometheus",
        "    bind 127.0.0.1:9101",
        "frontend http_frontend",
        "    bind *:8700",
        NOT_OURS,
        "    default_backend default_backend",
        "backend default_backend",
        NO_APPLICATION,
        "listen stats",
        "    bind 127.0.0.1:8404",
    ]


def test_closing_twice_changes_nothing():
    once = closed(WRITTEN_BY_SERVE)
    assert closed(once) == once


def test_the_answer_without_a_server_is_a_problem_that_says_when_to_try_again():
    head, _, body = UNAVAILABLE.partition("\r\n\r\n")
    assert body == UNAVAILABLE_BODY
    assert head.startswith("HTTP/1.1 503 ")
    assert f"Content-Length: {len(body.encode())}" in head
    assert "Retry-After: 2" in head


def test_the_answer_without_an_application_is_the_same():
    for rule in (NO_APPLICATION, NOT_OURS):
        assert "status 503 " in rule
        assert "hdr Retry-After 2" in rule
        assert f"'{UNAVAILABLE_BODY}'" in rule
