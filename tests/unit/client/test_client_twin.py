"""The client is written once: the synchronous one is made of the asynchronous one, and neither needs a server, POSIX or extras."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import fabric.client
from docs.sync_client import generated, sync_source
from fabric.client import AsyncClient, AsyncJob, Client, Job

ROOT = Path(__file__).parents[3]
ONLY_SYNCHRONOUS = {"executor"}
"""Threads have no twin: an event loop awaits `wrap_future(executor.submit(item))`, or uses `map`."""
POSIX_ONLY = {"fcntl", "grp", "pwd", "resource", "termios", "tty", "pty", "posix", "syslog", "spwd", "crypt", "nis"}
POSIX_CALLS = {"fork", "getuid", "geteuid", "setsid", "killpg", "sched_getaffinity", "mkfifo", "chown", "SIGKILL", "SIGHUP"}
ALLOWED = ("fabric.client", "fabric.codecs", "fabric.core.errors", "fabric.core.ids")


def public(kind: type) -> dict[str, list[str]]:
    return {
        name: list(inspect.signature(member).parameters) if callable(member) else []
        for name, member in inspect.getmembers(kind) if not name.startswith("_")
    }  # fmt: skip


def test_the_generated_client_is_up_to_date():
    for path, content in generated().items():
        assert (ROOT / path).read_text() == content, f"{path}: run `make docs` and commit the result"
    made = {Path(path).name for path in generated()} | {"__init__.py"}
    assert {path.name for path in (ROOT / "fabric/client/_sync").glob("*.py")} == made


def test_keywords_and_names_are_exchanged_in_code_and_in_texts():
    source = (
        "async def f(c: AsyncClient) -> Awaitable[int]:\n"
        '    """`await c.submit()` of an AsyncClient."""\n'
        "    async with c.stream() as r:\n"
        "        return (await (await r.aread()).x)  # awaited asynchronously\n"
    )
    assert sync_source(source) == (
        "def f(c: Client) -> int:\n"
        '    """`c.submit()` of an Client."""\n'
        "    with c.stream() as r:\n"
        "        return ((r.read()).x)  # awaited asynchronously\n"
    )


def test_both_clients_offer_the_same():
    with Client("http://127.0.0.1:9", "key") as client:
        twin = AsyncClient("http://127.0.0.1:9", "key")
        assert set(public(Client)) - set(public(AsyncClient)) == ONLY_SYNCHRONOUS
        assert public(AsyncClient).items() <= public(Client).items()
        assert public(Job) == public(AsyncJob)
        parts = {name for name in vars(client) if not name.startswith("_")}
        assert parts == {name for name in vars(twin) if not name.startswith("_")}
        for part in parts:
            assert public(type(getattr(client, part))) == public(type(getattr(twin, part))), part


def test_nothing_that_can_be_awaited_is_left_in_the_synchronous_client():
    for path in (ROOT / "fabric/client/_sync").glob("*.py"):
        nodes = {type(node).__name__ for node in ast.walk(ast.parse(path.read_text()))}
        assert not {name for name in nodes if name.startswith(("Async", "Await"))}, path


def test_everything_that_is_exported_is_there():
    assert all(hasattr(fabric.client, name) for name in fabric.client.__all__)


def test_the_client_works_without_server_code_posix_modules_and_extras():
    # Given a Python on which nothing of a server, of POSIX alone, or of the extra `notebook` can be imported
    probe = (
        "import sys, asyncio, subprocess\n"
        f"refused = {POSIX_ONLY - {'posix'}} | {{'ray', 'fastapi', 'sqlalchemy', 'pydantic', 'onnxruntime', 'onnx', 'boto3', 'stripe', "
        "'pandas', 'matplotlib', 'IPython', 'ipywidgets', 'PIL', 'av'}\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in refused: raise ImportError(f'{name} is not here')\n"
        "for name in refused: sys.modules.pop(name, None)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from fabric.client import Client, AsyncClient\n"
        "import fabric.client.cards, fabric.client.progress\n"
        "with Client('http://127.0.0.1:9', 'key') as client: repr(client)\n"
        "print(*sorted(name for name in sys.modules if name.startswith('fabric.')))"
    )
    # When the client is imported
    done = subprocess.run([sys.executable, "-c", probe], check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    # Then it loaded nothing of fabric but itself and how tensors are written, and none of that asks for POSIX
    loaded = done.stdout.split()
    assert not [name for name in loaded if not name.startswith((*ALLOWED, "fabric.core"))], loaded
    assert not [name for name in loaded if name.startswith("fabric.core.") and not name.startswith(ALLOWED)], loaded
    for name in loaded:
        path = ROOT / name.replace(".", "/")
        tree = ast.parse((path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py").read_text())
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not imported & POSIX_ONLY, name
        assert not called & POSIX_CALLS, name
