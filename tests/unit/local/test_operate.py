from fabric.local.home import Home, HomeLock
from fabric.local.operate import in_words, operator_connection, run_token_rotation
from fabric.local.rotation import Rotation


def a_home(path) -> Home:
    home = Home(path)
    home.prepare()
    return home


def test_the_operator_of_a_running_fabric_needs_no_key_on_its_machine(tmp_path):
    home = a_home(tmp_path)
    home.keep_secret("operator.api-key", "fab_operator")
    home.write_state("ports", {"serve": 14_321})
    assert operator_connection(tmp_path) == {}  # nothing runs, so there is nothing to reach
    with HomeLock(home):
        assert operator_connection(tmp_path) == {"url": "http://127.0.0.1:14321", "api_key": "fab_operator"}


def test_elsewhere_the_usual_credentials_count(tmp_path):
    assert operator_connection(tmp_path / "none") == {}


def test_without_a_running_fabric_the_next_start_gets_a_new_token(tmp_path, capsys):
    home = a_home(tmp_path)
    before = home.secret("ray.token")
    assert run_token_rotation(tmp_path) == 0
    assert "next start" in capsys.readouterr().out
    assert home.secret("ray.token") not in {before, None}
    assert (home.secrets / "ray.token").stat().st_mode & 0o777 == 0o600


def test_where_there_is_no_fabric_nothing_is_made(tmp_path, capsys):
    assert run_token_rotation(tmp_path / "none") == 1
    assert "no fabric" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()


def test_a_fabric_that_does_not_listen_is_told(tmp_path, capsys):
    home = a_home(tmp_path)
    before = home.secret("ray.token")
    with HomeLock(home):
        assert run_token_rotation(tmp_path) == 1
    assert "could not be changed" in capsys.readouterr().out
    assert home.secret("ray.token") == before


def test_a_rotation_in_words():
    assert "away for 12.3 s; 2 of 3 machines were back after 20.0 s" in in_words(Rotation(12.34, 3, 2, 20.0))
    assert "machines come back by themselves" in in_words(Rotation(12.34, 0, 0, 0.0))
