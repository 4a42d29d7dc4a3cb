"""What an event is, and which ones end a job."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fabric.core.ids import JobId

ENDINGS = frozenset({"job.succeeded", "job.failed", "job.cancelled"})
"""The last event of a job is one of these."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job. `seq` counts 1, 2, 3 … for each job, without gaps."""

    job_id: JobId
    seq: int
    type: str
    data: dict[str, Any]
    created_at: datetime

    @property
    def is_ending(self) -> bool:
        """Whether nothing will follow."""
        return self.type in ENDINGS
