"""What this machine's time zone is called, and how far its clock on the wall is from UTC."""

import contextlib
import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

LOCAL_TIME = Path("/etc/localtime")
TIME_ZONE = Path("/etc/timezone")
NAME_CHARACTERS_MAX = 64


def zone_name(environment: Mapping[str, str] = os.environ, local_time: Path = LOCAL_TIME) -> str:
    """Such as Europe/Berlin; where the system tells no such name (Windows), what it calls its time now."""
    if told := environment.get("TZ"):
        candidates = [told.removeprefix(":")]
    else:
        candidates = []
        with contextlib.suppress(OSError):
            candidates.append(re.sub("^.*zoneinfo/(posix/|right/)?", "", str(local_time.readlink())))
        with contextlib.suppress(OSError, UnicodeDecodeError):
            candidates.append(TIME_ZONE.read_text().strip())
    known = (name for name in candidates if _is_zone(name))
    return next(known, datetime.now().astimezone().tzname() or "UTC")[:NAME_CHARACTERS_MAX]


def utc_offset_minutes(now: datetime) -> int:
    """By how much this machine's clock on the wall is ahead of UTC at an instant."""
    offset = now.astimezone().utcoffset()
    return round(offset.total_seconds() / 60) if offset else 0


def _is_zone(name: str) -> bool:
    with contextlib.suppress(OSError, ValueError, KeyError):
        return bool(ZoneInfo(name).key)
    return False
