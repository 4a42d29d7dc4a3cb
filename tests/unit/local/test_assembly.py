import stat
from pathlib import Path

import pytest

from fabric.core.settings import load_settings
from fabric.local.addresses import choose_addresses
from fabric.local.assembly import Assembly
from fabric.local.home import Home
from fabric.local.ports import Reservations, choose_ports


@pytest.fixture
def assembly(tmp_path, monkeypatch):
    for name in ("FABRIC_DATABASE_URL", "FABRIC_STORAGE_URL", "FABRIC_HOME"):
        monkeypatch.delenv(name, raising=False)
    home = Home(tmp_path / "home")
    home.prepare()
    reservations = Reservations()
    ports = choose_ports({}, reservations, host="127.0.0.1")
    addresses = choose_addresses("127.0.0.1", trust_providers=False)
    yield Assembly(home, addresses, ports, load_settings(home=home.path), tmp_path / "t", None, "f" * 32)
    reservations.release()


def test_control_processes_read_everything_they_need_from_one_private_file(assembly, monkeypatch):
    monkeypatch.setenv("FABRIC_LIMITS_JOBS_OPEN_MAX", "7")
    monkeypatch.setenv("FABRIC_DATABASE_URL", "postgresql://owner:secret@db/fabric")
    assembly.write_environment(app_url="postgresql://app:word@/fabric?host=%2Fx", control_node_id="abc")
    monkeypatch.delenv("FABRIC_LIMITS_JOBS_OPEN_MAX")
    monkeypatch.delenv("FABRIC_DATABASE_URL")
    settings = load_settings(home=assembly.home.path)
    assert settings.database.app_url.get_secret_value() == "postgresql://app:word@/fabric?host=%2Fx"
    assert settings.database.url is None
    assert settings.ray.control_node_id == "abc"
    assert settings.ray.address == assembly.gcs_address
    assert settings.ray.token.get_secret_value() == assembly.home.secret("ray.token")
    assert settings.port == assembly.ports.http
    assert settings.limits.jobs_open_max == 7


def test_s3_credentials_reach_control_processes_by_a_private_file(assembly, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "who")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    environment = assembly.control_environment()
    assert "hush" not in " ".join(environment.values())
    file = Path(environment["AWS_SHARED_CREDENTIALS_FILE"])
    assert "aws_secret_access_key = hush" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_machine_on_offer_learns_nothing_of_the_control_plane(assembly, monkeypatch):
    monkeypatch.setenv("FABRIC_AUTH_JWT_KEY", "hush")
    environment = assembly.provider_environment()
    assert "FABRIC_HOME" not in environment
    assert not [name for name in environment if name.startswith("RAY_SERVE") or name == "RAY_AUTH_TOKEN_PATH"]
    assert "hush" not in " ".join(environment.values())
