from fabric.local.haproxy_guard import UNAVAILABLE, UNAVAILABLE_BODY, closed

WRITTEN_BY_SERVE = """global
    log 127.0.0.1:514 local0 info
    stats socket /tmp/x/a.sock mode 666 level admin expose-fd listeners
defaults
    log global
frontend prometheus
    bind :9101
frontend http_frontend
    bind *:8700
listen stats
  bind *:8404
"""


def test_side_doors_move_to_loopback_and_the_endpoint_stays():
    assert closed(WRITTEN_BY_SERVE).splitlines() == [
        "global",
        "    stats socket /tmp/x/a.sock mode 600 level admin expose-fd listeners",
        "defaults",
        "    log global",
        "frontend prometheus",
        "    bind 127.0.0.1:9101",
        "frontend http_frontend",
        "    bind *:8700",
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
