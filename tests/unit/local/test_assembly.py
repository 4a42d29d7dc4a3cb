import stat
from dataclasses import replace
from pathlib import Path

import pytest

from fabric.core.settings import load_settings
from fabric.local.addresses import Addresses, choose_addresses
from fabric.local.assembly import Assembly
from fabric.local.home import Home
from fabric.local.ports import Reservations, choose_ports
from fabric.local.tls import TlsChoice, prepare_tls


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


def test_signed_urls_lead_through_the_front_as_soon_as_others_can_come(assembly, tmp_path):
    ports = assembly.ports
    assert assembly.objects_url == f"http://127.0.0.1:{ports.objects}"
    outside = replace(assembly, addresses=Addresses("0.0.0.0", "192.0.2.7"))
    assert outside.objects_url == f"http://192.0.2.7:{ports.http}/objects"
    tls = prepare_tls(TlsChoice(None, None), assembly.home, host="::", advertised="2001:db8::7", name=None)
    encrypted = replace(assembly, addresses=Addresses("::", "2001:db8::7"), tls=tls)
    assert encrypted.objects_url == f"https://[2001:db8::7]:{ports.http}/objects"
    assert encrypted.local_url == f"http://127.0.0.1:{ports.serve}"
    assert encrypted.provider_environment()["FABRIC_CA_FILE"] == str(tls.public_file)


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


def test_behind_the_gate_control_processes_find_the_cluster_on_loopback_and_machines_the_gate(assembly, monkeypatch):
    outer = replace(assembly, addresses=choose_addresses("192.0.2.7", trust_providers=False))
    outer.write_environment()
    ray = load_settings(home=assembly.home.path).ray
    assert ray.address == f"127.0.0.1:{assembly.ports.gcs}"
    assert ray.gate is True
    assert (ray.gate_address, ray.gate_port) == (f"192.0.2.7:{assembly.ports.gate}", assembly.ports.gate)
    monkeypatch.setenv("FABRIC_RAY_GATE_ADDRESS", "left-over:1")
    assembly.write_environment()
    monkeypatch.delenv("FABRIC_RAY_GATE_ADDRESS")
    assert load_settings(home=assembly.home.path).ray.gate_address is None


def test_behind_translated_addresses_machines_are_told_the_one_that_was_named(assembly, monkeypatch):
    monkeypatch.setenv("FABRIC_RAY_GATE_ADDRESS", "fabric.example:6380")
    addresses = choose_addresses("192.0.2.7", trust_providers=False)
    outer = replace(assembly, addresses=addresses, settings=load_settings(home=assembly.home.path))
    outer.write_environment()
    monkeypatch.delenv("FABRIC_RAY_GATE_ADDRESS")
    assert load_settings(home=assembly.home.path).ray.gate_address == "fabric.example:6380"


def test_without_the_gate_there_is_no_part_of_that_name(assembly):
    ungated = replace(assembly, addresses=choose_addresses("127.0.0.1", trust_providers=False, is_gated=False))
    assert ungated.gate() is None
    ungated.write_environment()
    assert load_settings(home=assembly.home.path).ray.gate is False


def test_the_gate_keeps_every_port_of_the_control_node_for_itself(assembly):
    gate = assembly.gate()
    assert gate is not None
    assert set(assembly.ports.all()) <= set(gate.config.reserved_ports)
    assert gate.config.host is None
    assert gate.config.gcs_address == assembly.gcs_address


def test_machines_are_told_of_the_gate_where_it_listens_and_nowhere_else(assembly):
    apart = replace(assembly, addresses=choose_addresses("192.0.2.7", trust_providers=False, gate_host="10.88.0.1"))
    assert apart.gate_address == f"10.88.0.1:{assembly.ports.gate}"
    assert apart.url.startswith("http://192.0.2.7:")
    gate = apart.gate()
    assert gate is not None
    assert gate.config.host == "10.88.0.1"
    here = replace(assembly, addresses=choose_addresses("192.0.2.7", trust_providers=False, gate_host="127.0.0.1"))
    assert here.gate_address is None
    assert here.gate().config.host is None  # type: ignore[union-attr]
