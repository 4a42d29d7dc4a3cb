"""The code's own rules: sizes, docstrings, words, generated pages."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(p for package in ("fabric", "provider_join", "benchmarks") for p in (ROOT / package).rglob("*.py"))
FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 400
BANNED_NAMES = {"utils.py", "helpers.py", "common.py", "misc.py", "manager.py", "handler.py", "service.py", "processor.py"}


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def lines_without_docstring(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    total = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        total -= (first.end_lineno or 0) - first.lineno + 1
    return total


def test_no_file_is_longer_than_a_reader_can_hold():
    long = {str(p.relative_to(ROOT)): n for p in SOURCES if (n := len(p.read_text().splitlines())) > FILE_LINES_MAX}
    assert not long, f"split by concept, never into part2: {long}"


def test_no_function_is_longer_than_a_screen():
    long = {
        f"{p.relative_to(ROOT)}:{f.name}": n
        for p in SOURCES for f in functions(p) if (n := lines_without_docstring(f)) > FUNCTION_LINES_MAX
    }  # fmt: skip
    assert not long, f"keep the ifs in the parent and move the work into leaves: {long}"


def test_every_module_says_what_it_owns_in_one_sentence():
    bad = []
    for path in SOURCES:
        if "versions" in path.parts:
            continue
        docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
        if not docstring.split("\n")[0].rstrip().endswith((".", "?")):
            bad.append(str(path.relative_to(ROOT)))
    assert not bad, f"begin with one sentence, ended by a full stop: {bad}"


def test_no_file_has_a_name_that_says_nothing():
    bad = [str(p) for p in SOURCES if p.name in BANNED_NAMES and "schemas" not in p.parts]
    assert not bad, f"name the noun the file owns, or the act: {bad}"


def test_transactions_are_opened_only_by_the_engine():
    bad = [
        str(p.relative_to(ROOT)) for p in SOURCES
        if p.name != "engine.py" and "db" not in p.parts and re.search(r"\.commit\(\)", p.read_text())
    ]  # fmt: skip
    assert not bad, f"only db/engine.py commits: {bad}"


def test_test_files_have_names_of_their_own():
    names = [p.name for p in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names)), sorted(n for n in names if names.count(n) > 1)


def test_no_text_names_a_registry_or_a_machine_path():
    pattern = re.compile(
        "|".join(["pypi" + r"\.org", "files" + r"\.pythonhosted", "registry" + r"\.npmjs", "/wo" + "rk/", r"deb\.deb" + "ian"])
    )
    bad = []
    for path in tracked_files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if pattern.search(text):
            bad.append(str(path.relative_to(ROOT)))
    assert not bad, bad


def test_the_readme_is_short_and_begins_with_a_command():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 150
    assert any(line.startswith("```") for line in lines[:25]), "show the first command before line 25"


def test_the_makefile_fits_on_a_screen():
    assert len((ROOT / "Makefile").read_text().splitlines()) <= 60


@pytest.mark.parametrize("page", ["docs/map.md", "docs/settings.md", ".env.example", "docs/openapi.json"])
def test_generated_pages_are_up_to_date(page):
    from docs.generate import PAGES

    assert (ROOT / page).read_text() == PAGES[page](), "run `make docs` and commit the result"


def test_importing_fabric_loads_no_server_and_no_http_client():
    probe = "import sys, fabric, fabric.actors.messages; print([m for m in ('httpx','sqlalchemy','fastapi','ray','boto3','pydantic') if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd="/")
    assert loaded.stdout.strip() == "[]"


def test_the_client_loads_no_server_code():
    probe = (
        "import sys; from fabric import Client; "
        "print([m for m in ('sqlalchemy','fastapi','ray','boto3','pydantic','onnx','onnxruntime') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd="/")
    assert loaded.stdout.strip() == "[]"
