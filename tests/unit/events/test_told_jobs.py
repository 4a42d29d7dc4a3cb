"""What a notification says."""

from fabric.core.ids import JobId
from fabric.events.event import Event
from fabric.events.outbox import EVERYTHING, NOTIFY_BYTES_MAX, told_jobs


def test_a_notification_names_each_job_once():
    first, second = sorted([JobId.new(), JobId.new()])
    assert told_jobs([second, first, second]) == f"{first.hex},{second.hex}"


def test_a_notification_that_would_be_too_long_names_everything():
    jobs = [JobId.new() for _ in range(300)]
    assert told_jobs(jobs) == EVERYTHING
    assert 6900 < len(told_jobs(jobs[:212])) <= NOTIFY_BYTES_MAX


def test_only_the_endings_end_a_job():
    kinds = ["job.queued", "job.started", "job.progress", "job.succeeded", "job.failed", "job.cancelled"]
    ends = [kind for kind in kinds if Event(JobId.new(), 1, kind, {}, None).is_ending]
    assert ends == ["job.succeeded", "job.failed", "job.cancelled"]
