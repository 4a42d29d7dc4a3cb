"""A schedule that the owner sets from afar: taken once, over none that was said on the machine later."""

from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provider_join import zone
from provider_join.config import Home, read_options
from provider_join.from_afar import FromAfar, kept_heard
from provider_join.join import keep
from provider_join.limits import Limits, kept_limits, without_limits
from provider_join.restraint import Restraint

URL = ("--url", "http://127.0.0.1:1")


def started(path: Path, *words: str) -> tuple[FromAfar, Restraint]:
    """An agent's start from a home, with what its command line says."""
    home, options = Home(path), read_options([*URL, *words])
    limits = replace(kept_limits(home), **options.limits)
    keep(home, options, limits, 1)
    restraint = Restraint(home, limits)
    return FromAfar(home, restraint), restraint


def wish(revision: int, **wanted: object) -> dict:
    return {"schedule": {"revision": revision, "wanted": wanted}}


def closed_now() -> str:
    hour = datetime.now().astimezone().hour
    return f"{(hour + 2) % 24}-{(hour + 3) % 24}"


def test_a_schedule_from_afar_counts_at_once_and_outlives_the_agent(tmp_path):
    # Given a machine with a cap, which lends at any time
    from_afar, restraint = started(tmp_path, "--max-memory-gib", "8")
    assert from_afar.hear({"schedule": None}) is None
    assert restraint.holding() is None
    # When its owner sets hours that are closed now
    said = from_afar.hear(wish(1, hours=f" {closed_now()} "))
    # Then it holds back without a restart, tells so, and keeps its cap
    assert said == f"the owner set the schedule from afar: {closed_now()}"
    holding = restraint.holding()
    assert holding is not None
    assert holding.by == "schedule"
    told = from_afar.report()
    assert (told["schedule"]["hours"], told["schedule"]["revision"], told["schedule"]["is_open"]) == (closed_now(), 1, False)
    assert told["caps"]["max_memory_gib"] == 8
    assert from_afar.describe() == {"schedule_from_afar": True, "schedule_refused": None}
    # And the next start, which says nothing, keeps both
    later, restraint = started(tmp_path)
    assert restraint.limits == Limits(hours=closed_now(), max_memory_gib=8)
    assert later.heard.revision == 1


def test_a_wish_is_taken_once_and_an_older_one_never_comes_back(tmp_path):
    from_afar, restraint = started(tmp_path)
    from_afar.hear(wish(4, hours="22-7"))
    for revision in (4, 3):
        assert from_afar.hear(wish(revision, hours="1-2")) is None
    assert restraint.limits.hours == "22-7"
    from_afar.hear(wish(5, idle_minutes=10))
    assert restraint.limits == Limits(hours="22-7", idle_minutes=10.0)


def test_what_a_start_says_on_the_machine_counts_over_what_was_wished_before_it(tmp_path):
    started(tmp_path)[0].hear(wish(1, hours="22-7"))
    # Given a start that says other hours, while a wish for hours and for quiet waits at the fabric
    from_afar, restraint = started(tmp_path, "--hours", "8-12")
    # When it hears of that wish
    from_afar.hear(wish(2, hours="1-2", idle_only=True))
    # Then only what was not said counts, and the wish is done
    assert (restraint.limits.hours, restraint.limits.idle_only, from_afar.heard.revision) == ("8-12", True, 2)
    # And a later wish is newer than that start
    from_afar.hear(wish(3, hours="always"))
    assert restraint.limits.hours is None
    # And a start whose fabric has nothing to say has been heard as well
    from_afar, restraint = started(tmp_path, "--hours", "8-12")
    from_afar.hear({"schedule": None})
    from_afar.hear(wish(4, hours="9-10"))
    assert restraint.limits.hours == "9-10"


def test_an_agent_that_goes_on_after_an_upgrade_says_nothing_anew(tmp_path):
    words = [*URL, "--hours", "8-12", "--name", "attic", "--no-idle-only", "--max-power-w=150", "--slots", "2"]
    assert without_limits(words) == [*URL, "--name", "attic", "--slots", "2"]
    # So a wish that came before the upgrade still counts after it, and what was said unheard is not lost on the way
    from_afar, _ = started(tmp_path, "--hours", "8-12")
    from_afar, restraint = started(tmp_path)
    from_afar.hear(wish(1, hours="22-7"))
    assert restraint.limits.hours == "8-12"


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"hours": "noon"}, "'noon' names no hours"), ({"idle_minutes": 0}, "no number of minutes"), ({"idle_only": "yes"}, "true or false"),
        ({"hours": "22-7", "max_power_w": 900}, "does not know 'max_power_w'"),
    ],
)  # fmt: skip
def test_a_wish_that_cannot_be_kept_changes_nothing_and_is_told_in_words(tmp_path, wanted, why):
    from_afar, restraint = started(tmp_path, "--hours", "8-12", "--max-power-w", "none")
    from_afar.hear({"schedule": None})
    assert why in str(from_afar.hear(wish(7, **wanted)))
    assert restraint.limits == Limits(hours="8-12")
    assert why in from_afar.report()["schedule"]["refused"]
    # It is told after a restart too, until another wish can be kept
    assert kept_heard(Home(tmp_path)).revision == 7
    assert from_afar.hear(wish(7, **wanted)) is None
    from_afar.hear(wish(8, hours="22-7"))
    assert from_afar.report()["schedule"]["refused"] is None


def test_settings_that_cannot_be_written_refuse_the_wish(tmp_path):
    from_afar, restraint = started(tmp_path)
    (tmp_path / "settings.json").write_text("[]")
    assert "cannot be kept here" in str(from_afar.hear(wish(1, hours="22-7")))
    assert (restraint.limits.hours, from_afar.heard.revision) == (None, 1)


def test_an_older_fabric_is_told_nothing_that_it_would_refuse(tmp_path):
    # Given a fabric that says nothing of schedules, then one that does
    from_afar, _ = started(tmp_path)
    assert from_afar.hear({"desired": "run"}) is None
    assert from_afar.report() == {}
    from_afar.hear({"schedule": None})
    assert set(from_afar.report()) == {"schedule", "caps"}
    # When an older one takes over and refuses the report, then the agent says less and goes on
    assert from_afar.misunderstood()
    assert from_afar.report() == {}
    assert not from_afar.misunderstood()


def test_looking_begins_when_only_quiet_times_are_lent(tmp_path):
    # Given a machine that looks at nothing, since nothing limits it
    from_afar, restraint = started(tmp_path)
    assert restraint.describe()["facts"] == {}
    # When it shall lend only while nobody uses it, then it counts as used until that was seen otherwise
    from_afar.hear(wish(1, idle_only=True))
    holding = restraint.holding()
    assert holding is not None
    assert holding.by == "idle"
    assert "foreign_cpu" in restraint.describe()["facts"]
    from_afar.hear(wish(2, idle_only=False))
    assert restraint.holding() is None


def test_a_machine_names_its_time_zone(tmp_path):
    assert zone.zone_name({"TZ": "Europe/Berlin"}) == "Europe/Berlin"
    assert zone.zone_name({"TZ": "no such zone"}) == datetime.now().astimezone().tzname()
    link = tmp_path / "localtime"
    link.symlink_to("/usr/share/zoneinfo/Asia/Kolkata")
    assert zone.zone_name({}, link) == "Asia/Kolkata"
    offset = datetime.now().astimezone().utcoffset()
    assert offset is not None
    assert zone.utc_offset_minutes(datetime.now(UTC)) * 60 == offset.total_seconds()


def test_damaged_memory_of_wishes_is_named(tmp_path):
    home = Home(tmp_path)
    home.keep_settings(limits=asdict(Limits()), schedule={"revision": "many"})
    with pytest.raises(Exception, match=r"settings\.json"):
        kept_heard(home)
