"""What is installed where: one flavour of ONNX Runtime on an owner's machine, none by the client or the server by themselves."""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fabric.local import doctor
from fabric.providers.distribution import EXTRAS, LOCKS, constraints, resolved_elsewhere
from provider_join.install import FLAVOURS, flavour_for

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OPTIONAL = PROJECT["project"]["optional-dependencies"]
RUNTIMES = {"provider": "onnxruntime", "provider-cuda": "onnxruntime-gpu", "provider-directml": "onnxruntime-directml"}
SYSTEMS = {
    "linux": {"sys_platform": "linux", "platform_machine": "x86_64"},
    "windows": {"sys_platform": "win32", "platform_machine": "AMD64"},
    "macos": {"sys_platform": "darwin", "platform_machine": "arm64"},
}
PINS = {path.stem: path for path in sorted(LOCKS.glob("*.txt"))}


def pins_of(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!-]+", line) for line in lines), path
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}


def wanted_by(extra: str, environment: dict[str, str]) -> Iterator[Requirement]:
    for requirement in map(Requirement, OPTIONAL[extra] if extra else PROJECT["project"]["dependencies"]):
        if requirement.name == "onnx-fabric":
            for inner in requirement.extras:
                yield from wanted_by(inner, environment)
        elif requirement.marker is None or requirement.marker.evaluate(environment):
            yield requirement


def test_there_is_a_lock_for_each_system_and_the_flavours_that_it_can_have():
    assert set(PINS) == {
        "linux-provider", "linux-provider-cuda", "macos-provider", "windows-provider", "windows-provider-cuda",
        "windows-provider-directml",
    }  # fmt: skip
    assert set(RUNTIMES) == set(FLAVOURS) == set(EXTRAS)


@pytest.mark.parametrize("name", PINS)
def test_a_lock_has_its_own_flavour_and_all_that_the_project_asks_for(name):
    system, _, flavour = name.partition("-")
    pins = pins_of(PINS[name])
    assert {package for package in pins if package.startswith("onnxruntime")} == {RUNTIMES[flavour]}
    for requirement in (*wanted_by("", SYSTEMS[system]), *wanted_by(flavour, SYSTEMS[system])):
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_all_locks_and_the_constraints_file_agree_about_every_package():
    truth = pins_of(ROOT / "constraints.txt")
    for path in PINS.values():
        for package, version in pins_of(path).items():
            assert truth.setdefault(package, version) == version, (path.name, package)


def test_resolvers_are_told_that_the_flavours_exclude_each_other():
    conflicts = [{entry["extra"] for entry in entries} for entries in PROJECT["tool"]["uv"]["conflicts"]]
    assert set(FLAVOURS) in conflicts


def test_neither_client_nor_server_pulls_in_a_runtime_by_itself():
    names = {requirement.name for extra in ("", "server") for requirement in wanted_by(extra, SYSTEMS["linux"])}
    waiting, seen = list(names), set(names)
    while waiting:
        try:
            further = distribution(waiting.pop()).requires or []
        except PackageNotFoundError:
            continue
        for requirement in map(Requirement, further):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting += [requirement.name] if requirement.name not in seen else []
                seen.add(requirement.name)
    assert "ray" in seen
    assert not {name for name in seen if canonicalize_name(name).startswith("onnxruntime")}


def test_the_servers_doctor_wants_exactly_one_flavour():
    (here,) = [record for record in doctor.installation() if record.id == "onnxruntime"]
    assert (here.status, here.found) == ("ok", f"onnxruntime {distribution('onnxruntime').version}")
    for found in ([], ["onnxruntime 1.31.1", "onnxruntime-gpu 1.31.1"]):
        record = doctor.runtime(found)
        assert record.status == "fail"
        assert "pip uninstall -y onnxruntime onnxruntime-gpu onnxruntime-directml" in record.remedy


def test_a_new_machine_is_served_the_versions_of_every_system_and_of_this_one_where_they_differ():
    served = dict(line.split("==") for line in constraints().splitlines())
    assert served["onnxruntime-directml"] == resolved_elsewhere()["onnxruntime-directml"]
    assert served["onnxruntime-gpu"] == resolved_elsewhere()["onnxruntime-gpu"]
    assert served["colorama"] == resolved_elsewhere()["colorama"]
    assert served["numpy"] == distribution("numpy").version


@pytest.mark.parametrize(
    ("system", "machine", "has_nvidia", "flavour"),
    [
        ("linux", "x86_64", False, "provider"),
        ("linux", "x86_64", True, "provider-cuda"),
        ("linux", "aarch64", True, "provider"),
        ("win32", "AMD64", True, "provider-cuda"),
        ("win32", "AMD64", False, "provider-directml"),
        ("win32", "ARM64", False, "provider"),
        ("darwin", "arm64", False, "provider"),
    ],
)
def test_the_join_script_picks_one_flavour_by_the_machine(system, machine, has_nvidia, flavour):
    assert flavour_for(system, machine, has_nvidia) == flavour
