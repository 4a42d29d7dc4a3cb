"""How long a client puts up with an endpoint that is away."""

from fabric.client.outages import RETRIES_MAX, Trouble


def test_an_ordinary_request_is_tried_a_few_times():
    trouble = Trouble(patience_s=0)
    assert [trouble.is_bearable() for _ in range(RETRIES_MAX + 2)] == [True] * RETRIES_MAX + [False, False]


def test_who_waits_for_a_job_tries_again_for_as_long_as_the_patience_lasts():
    trouble = Trouble(patience_s=3600)
    assert all(trouble.is_bearable() for _ in range(10 * RETRIES_MAX))
