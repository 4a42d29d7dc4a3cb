import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest

from fabric.core.errors import Conflict, Invalid
from fabric.core.settings import load_settings
from fabric.local.home import Home, HomeLock, is_running


@pytest.fixture
def private():
    """A folder of mode 0700 that others could reach, unlike pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="fb-home-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    home.prepare()
    return home


def test_a_secret_is_made_once_and_is_its_owners_only(home):
    first = home.secret("jwt.key")
    assert home.secret("jwt.key") == first
    assert home.secret("other.key") != first
    assert stat.S_IMODE((home.secrets / "jwt.key").stat().st_mode) == 0o600


def test_a_secret_that_must_exist_is_not_made(home):
    assert home.secret("absent", make=False) is None
    assert not (home.secrets / "absent").exists()


def test_settings_read_what_was_written_whatever_is_in_it(home, monkeypatch):
    monkeypatch.delenv("FABRIC_AUTH_JWT_KEY", raising=False)
    strange = "a'b\\c #d $e\"f"
    home.write_environment({"FABRIC_AUTH_JWT_KEY": strange, "FABRIC_PORT": "8712"})
    settings = load_settings(home=home.path)
    assert settings.auth.jwt_key.get_secret_value() == strange
    assert settings.port == 8712
    assert stat.S_IMODE(home.environment_file.stat().st_mode) == 0o600


def test_a_second_fabric_on_the_same_home_is_refused_and_told_where_the_first_is(home):
    home.write_state("fabric", {"pid": 4711, "url": "http://127.0.0.1:8700"})
    with HomeLock(home):
        assert is_running(home)
        with pytest.raises(Conflict, match=r"http://127\.0\.0\.1:8700 \(pid 4711\)"), HomeLock(home):
            pass
    assert not is_running(home)
    with HomeLock(home):
        assert is_running(home)


def test_a_state_file_that_was_cut_off_counts_as_none(home):
    (home.run / "ports.json").write_text('{"http": 87')
    assert home.read_state("ports") == {}


def test_a_private_home_becomes_passable_for_the_database_and_stays_unreadable(private):
    Home(private).let_database_pass()
    assert stat.S_IMODE(private.stat().st_mode) == (0o711 if os.geteuid() == 0 else 0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's database runs as somebody else")
def test_a_home_that_the_database_cannot_reach_is_refused_and_the_way_to_it_untouched(private):
    home = Home(private / "home")
    home.prepare()
    with pytest.raises(Invalid, match=f"cannot pass {private} to"):
        home.let_database_pass()
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
