"""Root may have installed Fabric where nobody else can pass; its database runs as somebody else all the same."""

from pathlib import Path

from fabric.local.postgres import reachable_programs


def installed_in(folder: Path, *, version: str = "18") -> Path:
    """As in a wheel: the programs in the package, what they link against in the folder `<package>.libs` beside it."""
    programs = folder / "server" / "pg" / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    (folder / "server.libs").mkdir(exist_ok=True)
    (programs / "postgres").write_text(f"postgres {version}")
    (folder / "server.libs" / "libpq.so").write_text("shared")
    return programs


def test_programs_behind_a_closed_folder_are_copied_beside_the_data(tmp_path: Path) -> None:
    closed, near = tmp_path / "root-only", tmp_path / "home"
    near.mkdir()
    installed = installed_in(closed)
    closed.chmod(0o700)
    found = reachable_programs(installed, near)
    assert found == near / "postgresql" / "server" / "pg" / "bin"
    assert (found / "postgres").read_text() == "postgres 18"
    assert (near / "postgresql" / "server.libs" / "libpq.so").exists()
    assert (near / "postgresql").stat().st_mode & 0o001


def test_a_copy_of_another_version_is_replaced(tmp_path: Path) -> None:
    closed, near = tmp_path / "root-only", tmp_path / "home"
    near.mkdir()
    installed = installed_in(closed)
    closed.chmod(0o700)
    reachable_programs(installed, near)
    installed_in(closed, version="18.5")
    assert (reachable_programs(installed, near) / "postgres").read_text() == "postgres 18.5"
    assert [path.name for path in near.iterdir()] == ["postgresql"]


def test_programs_that_everybody_can_reach_are_used_where_they_are() -> None:
    assert reachable_programs(Path("/usr/bin"), Path("/nowhere")) == Path("/usr/bin")
