"""What a new machine installs: the wheel of this very fabric, made from what runs here, and the exact versions around it."""

import base64
import functools
import hashlib
import io
import platform
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import fabric
import provider_join
from fabric.core.errors import Unavailable

DISTRIBUTION = "onnx-fabric"
PACKAGES = ("fabric", "provider_join")
EXTRAS = ("provider", "provider-cuda", "provider-directml")
"""One for each flavour of ONNX Runtime; they own the same module name, so a machine gets exactly one."""
LEFT_OUT = {"__pycache__", "console_files"}
"""Folders that no owner's machine needs."""
LOCKS = Path(provider_join.__file__).with_name("locks")
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Every file's time in the wheel, so that the same tree gives the same bytes."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel as pip installs it."""

    name: str
    content: bytes
    sha256: str


@functools.cache
def wheel() -> Wheel:
    """The wheel of the fabric that runs in this process; made once, from the installed files.

    Raises:
        Unavailable: what runs here was not installed as a distribution.
    """
    return make_wheel(Path(fabric.__file__).parents[1])


def make_wheel(folder: Path) -> Wheel:
    """The wheel of the packages in a folder, with the metadata of the installed distribution.

    Raises:
        Unavailable: nothing is installed.
    """
    installed = _installed()
    version = installed.version
    info = f"{DISTRIBUTION.replace('-', '_')}-{version}.dist-info"
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in _sources(folder)}
    files[f"{info}/METADATA"] = (installed.read_text("METADATA") or installed.read_text("PKG-INFO") or "").encode()
    files[f"{info}/entry_points.txt"] = (installed.read_text("entry_points.txt") or "").encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: fabric\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = f"{info}/RECORD"
    lines = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in files.items()]
    files[record] = ("\n".join([*lines, f"{record},,"]) + "\n").encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    content = buffer.getvalue()
    return Wheel(f"{info.removesuffix('.dist-info')}-py3-none-any.whl", content, hashlib.sha256(content).hexdigest())


@functools.cache
def constraints() -> str:
    """Lines `name==version` of everything that this process has installed and a machine needs, for `pip install -c`.

    What only another system or another flavour of ONNX Runtime needs is as it was resolved for those (`provider_join/locks`).

    Raises:
        Unavailable: what runs here was not installed as a distribution.
    """
    found: dict[str, str] = {}
    waiting = [(_installed(), extra) for extra in EXTRAS]
    seen: set[tuple[str, str]] = set()
    while waiting:
        here, extra = waiting.pop()
        for requirement in _requirements(here, extra):
            name = canonicalize_name(requirement.name)
            wanted = {(name, wish) for wish in requirement.extras or {""}}
            for _, wish in wanted - seen:
                try:
                    there = distribution(name)
                except PackageNotFoundError:
                    continue
                if name != DISTRIBUTION:
                    found[name] = there.version
                waiting.append((there, wish))
            seen |= wanted
    return "".join(f"{name}=={version}\n" for name, version in sorted({**resolved_elsewhere(), **found}.items()))


def resolved_elsewhere(folder: Path = LOCKS) -> dict[str, str]:
    """Name and version of everything in the locks of all systems and flavours, which agree about each package."""
    lines = [line.partition("==") for path in sorted(folder.glob("*.txt")) for line in path.read_text().splitlines()]
    return {canonicalize_name(name): version.strip() for name, _, version in lines if version}


def python_version() -> str:
    """The Python that a machine must have, in its first two numbers, since Ray compares them."""
    return ".".join(platform.python_version_tuple()[:2])


def _installed() -> Distribution:
    try:
        return distribution(DISTRIBUTION)
    except PackageNotFoundError:
        raise Unavailable("This fabric runs from files that were not installed, so it cannot hand itself on.") from None


def _sources(folder: Path) -> Iterator[Path]:
    for package in PACKAGES:
        for path in sorted((folder / package).rglob("*")):
            if path.is_file() and path.suffix != ".pyc" and not LEFT_OUT & set(path.parts):
                yield path


def _requirements(of: Distribution, extra: str) -> Iterator[Requirement]:
    for text in of.requires or []:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
