"""Errors say what happened, why, and what to do; and what they name is there."""

import re
from operator import attrgetter

import pytest

from fabric.client import Client, FabricClientError, ItemFailed, Job, JobTimeout, PartialResult
from fabric.client.advice import ADVICE, JOB_ADVICE, JOB_ADVICE_ELSE, WAITING
from fabric.client.errors import ERRORS_BY_CODE, NotConnected, api_error, job_failed, waiting
from fabric.jobs import lifecycle

SENTENCES = [*ADVICE.values(), *JOB_ADVICE.values(), JOB_ADVICE_ELSE, *WAITING.values()]


def test_advice_is_given_for_codes_that_exist_and_names_methods_that_exist():
    assert set(ADVICE) <= set(ERRORS_BY_CODE)
    assert {lifecycle.ATTEMPTS_EXHAUSTED, lifecycle.BUDGET_EXHAUSTED, lifecycle.DEADLINE_EXCEEDED} == set(JOB_ADVICE)
    with Client("http://127.0.0.1:9", "key") as client:
        for sentence in SENTENCES:
            for name in re.findall(r"client\.([a-z_.]+)\(", sentence):
                assert callable(attrgetter(name)(client)), sentence
            for name in re.findall(r"job\.([a-z_]+)\(", sentence):
                assert callable(getattr(Job, name)), sentence


def test_a_traceback_shows_the_advice_below_the_message():
    error = api_error(402, {"code": "insufficient_funds", "detail": "1 USD is needed"})
    assert str(error) == "1 USD is needed"
    assert error.__notes__ == [ADVICE["insufficient_funds"]]
    assert api_error(418, {"code": "teapot"}).advice == ""
    assert "FABRIC_URL" in NotConnected("x cannot be reached").advice


def test_a_failed_job_and_a_wait_in_vain_say_what_to_do():
    facts = {"id": "job_1", "status": "failed", "error": {"code": "deadline_exceeded", "detail": "3 s are over"}}
    assert str(job_failed(facts)) == "job_1 failed: deadline_exceeded 3 s are over"
    assert "deadline_s" in job_failed(facts).advice
    cancelled = job_failed({"id": "job_1", "status": "cancelled", "error": None})
    assert (str(cancelled), cancelled.advice) == ("job_1 cancelled", "")
    assert job_failed({"id": "j", "status": "failed", "error": {"code": "new", "detail": ""}}).advice == JOB_ADVICE_ELSE
    assert "add_budget" in waiting({"waiting_reason": "funds"})
    assert waiting({}) == "it runs"
    assert waiting({"waiting_reason": "unheard_of"}) == "unheard_of"
    assert "client.job(id)" in JobTimeout("late").advice


def test_missing_items_say_why_and_are_told_apart():
    errors = [{"index": i, "code": "corrupt_image", "detail": "not a PNG"} for i in range(3)]
    partial = PartialResult("job_1: 3 of 9 items have no result", {}, errors)
    assert str(partial).endswith("\n  corrupt_image: not a PNG")
    job = {"id": "job_1", "status": "cancelled", "error": None}
    failed = ItemFailed.of(2, errors[2], job, at=102)
    assert (failed.index, failed.code, failed.job_id) == (102, "corrupt_image", "job_1")
    assert ItemFailed.of(5, None, job).reason == "job_cancelled: the job ended before this item was done"
    with pytest.raises(FabricClientError, match="item 102 failed"):
        raise failed
