from pathlib import Path

from fabric.sandbox import bubblewrap
from fabric.sandbox.devices import devices_of


def pairs(arguments: list[str], option: str) -> list[str]:
    return [arguments[index + 1] for index, argument in enumerate(arguments) if argument == option]


def test_nothing_is_shared_but_what_is_named(tmp_path):
    arguments = bubblewrap.arguments([tmp_path / "b", tmp_path], [], {"LANG": "C"})
    assert {"--unshare-all", "--clearenv", "--die-with-parent", "--new-session", "--disable-userns"} <= set(arguments)
    assert "--share-net" not in arguments
    assert not {"--bind", "--tmpfs", "--dev", "--proc"} & set(arguments)
    shown = [path for path in pairs(arguments, "--ro-bind") if path.startswith(str(tmp_path))]
    assert shown == [str(tmp_path), str(tmp_path / "b")]  # the outer one first, or it would hide the other
    assert arguments[-2:] == ["--remount-ro", "/"]


def test_devices_bring_what_their_drivers_need():
    arguments = bubblewrap.arguments([], [Path("/dev/nvidia0")], {})
    assert "/dev/nvidia0" in pairs(arguments, "--dev-bind-try")
    assert pairs(arguments, "--proc") == ["/proc"]


def test_system_paths_hold_python_and_not_the_owners_home():
    paths = bubblewrap.system_paths()
    assert Path(bubblewrap.python()) in paths
    assert not {Path("/"), Path.home(), Path("/etc"), Path("/usr")} & set(paths)


def test_packages_are_found_where_they_are_imported_from():
    import msgpack
    import numpy

    found = bubblewrap.folders_of(["numpy", "msgpack", "no_such_package", "no.such.package"])
    assert set(found) == {Path(module.__file__).resolve().parents[1] for module in (numpy, msgpack)}


def test_an_accelerator_brings_its_devices_and_a_processor_none(tmp_path):
    for name in ("nvidia0", "nvidiactl", "nvidia-uvm", "sda", "kfd"):
        (tmp_path / name).touch()
    assert [path.name for path in devices_of("CUDAExecutionProvider", tmp_path)] == ["nvidia-uvm", "nvidia0", "nvidiactl"]
    assert devices_of("CPUExecutionProvider", tmp_path) == ()
