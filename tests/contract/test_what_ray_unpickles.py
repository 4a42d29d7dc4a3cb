"""Every place where Ray unpickles was looked at (docs/decisions/0010), and none is new; Fabric itself unpickles nowhere.

A release of Ray that unpickles anywhere else fails here, until somebody has found out who writes what is read there.
"""

import ast
import re
import types
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
import ray._raylet

ROOT = Path(__file__).parents[2]
RAY = Path(ray.__file__).parent
AUDIT = ROOT / "docs/decisions/0010-what-is-unpickled.md"
COMPILED_PART_READ = "2.60.0"
"""The release whose machine code was searched for what it unpickles."""
LOADED_BY_CONTROL = ("*.py", *(f"{part}/**/*.py" for part in (
    "_common", "_private", "autoscaler", "core", "dashboard", "experimental", "runtime_env", "scripts", "serve",
    "util/client", "util/collective", "util/state", "util/metrics",
)), "util/*.py")  # fmt: skip
PICKLES = {"pickle", "cloudpickle", "ray_pickle", "_pickle", "dill", "joblib", "marshal", "shelve"}
READERS = {"load", "loads", "Unpickler"}

Use = tuple[str, str]
"""A file and the function in it."""


def uses(root: Path, patterns: tuple[str, ...]) -> Counter[Use]:
    """Where a pickle module's readers are named in the Python files under `root`."""
    found: Counter[Use] = Counter()
    for path in {path for pattern in patterns for path in root.glob(pattern)}:
        if not {"tests", "thirdparty_files"} & set(path.relative_to(root).parts):
            name = str(path.relative_to(root))
            found.update((name, function) for function in readers(ast.parse(path.read_text(errors="replace")), ""))
    return found


def readers(node: ast.AST, function: str) -> Iterator[str]:
    """The function of each use, as often as there are uses."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Attribute) and child.attr in READERS and last_name(child.value) in PICKLES:
            yield function
        if isinstance(child, ast.ImportFrom) and (child.module or "").rpartition(".")[2] in PICKLES:
            yield from (f"import {alias.name}" for alias in child.names if alias.name in {*READERS, "*"})
        is_named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        yield from readers(child, f"{function}.{child.name}".lstrip(".") if is_named else function)


def last_name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def audited() -> Counter[Use]:
    found: Counter[Use] = Counter()
    for path, listed in re.findall(r"^- `(\S+\.py)`: (.+)$", AUDIT.read_text(), re.MULTILINE):
        for function, count in re.findall(r"`([^`]+)` (\d+)", listed):
            found[path, function] = int(count)
    return found


def test_every_use_in_rays_python_code_is_in_the_audit_and_no_other():
    assert uses(RAY, LOADED_BY_CONTROL) == audited()


def test_rays_compiled_half_is_the_one_that_was_read():
    assert ray.__version__ == COMPILED_PART_READ, "search its machine code for `loads` again, then write down what it is now"
    modules = {
        name for name, value in vars(ray._raylet).items() if isinstance(value, types.ModuleType) and "pickle" in value.__name__
    }
    assert modules - {"ray_pickle"} == {"pickle"}  # a process with the guard has another thing by the name ray_pickle
    assert "ray_pickle" in vars(ray._raylet)


def test_fabric_unpickles_nothing():
    assert uses(ROOT, ("fabric/**/*.py", "provider_join/**/*.py")) == Counter()


@pytest.mark.parametrize(
    "code",
    [
        "import pickle\ndef read(b): return pickle.loads(b)", "from ray import cloudpickle as c\nread = c.cloudpickle.load",
        "from pickle import loads", "import ray.cloudpickle\nclass R(ray.cloudpickle.Unpickler): ...",
    ],
)  # fmt: skip
def test_the_search_finds_what_it_is_for(tmp_path, code):
    (tmp_path / "one.py").write_text(code)
    assert uses(tmp_path, ("*.py",)).total() == 1


def test_each_test_that_the_audit_names_exists():
    text = AUDIT.read_text()
    names = set(re.findall(r"`(test_\w+\.py)`", text))
    assert names <= {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    functions = set(re.findall(r"`(test_\w+)`", text))
    everything = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert {name for name in functions if f"def {name}(" not in everything} == set()
