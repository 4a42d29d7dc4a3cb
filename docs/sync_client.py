"""Makes the synchronous client of the asynchronous one, token by token: `fabric/client/_async` to `fabric/client/_sync`."""

import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "fabric/client/_async"
TARGET = ROOT / "fabric/client/_sync"
NAMES = {
    "AsyncClient": "Client", "AsyncJob": "Job", "AsyncGenerator": "Generator", "AsyncIterator": "Iterator",
    "AbstractAsyncContextManager": "AbstractContextManager", "aclosing": "closing", "asyncio": "time", "_async": "_sync",
    "__aenter__": "__enter__", "__aexit__": "__exit__", "aclose": "close", "aread": "read", "aiter_bytes": "iter_bytes",
    "aiter_lines": "iter_lines", "asynccontextmanager": "contextmanager",
}  # fmt: skip
DROPPED = {"async", "await"}
TEXTS = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}  # the last from Python 3.12 on
WORD = re.compile(r"\w+")
KEYWORD_IN_TEXT = re.compile(r"\b(?:async|await) (?=[\w(])")
AWAITABLE = re.compile(r"\bAwaitable\[(\w+)\]")


def sync_source(source: str) -> str:
    """The same module without waiting: keywords dropped, names exchanged, in code as in texts."""
    lines = source.splitlines(keepends=True)
    for token in reversed(list(tokenize.generate_tokens(io.StringIO(source).readline))):
        if token.type == tokenize.NAME and token.string in DROPPED:
            line = lines[token.end[0] - 1]
            lines[token.start[0] - 1] = line[: token.start[1]] + line[token.end[1] :].lstrip(" ")
        elif token.type == tokenize.NAME and token.string in NAMES:
            line = lines[token.start[0] - 1]
            lines[token.start[0] - 1] = line[: token.start[1]] + NAMES[token.string] + line[token.end[1] :]
        elif token.type in TEXTS:
            _replace(lines, token, KEYWORD_IN_TEXT.sub("", WORD.sub(lambda word: NAMES.get(word[0], word[0]), token.string)))
    return AWAITABLE.sub(r"\1", "".join(lines))


def _replace(lines: list[str], token: tokenize.TokenInfo, text: str) -> None:
    (first, begin), (last, end) = token.start, token.end
    lines[first - 1 : last] = [lines[first - 1][:begin] + text + lines[last - 1][end:]]


def generated() -> dict[str, str]:
    """Every file of the synchronous client: its path within the tree, and its content."""
    made = {}
    for path in sorted(SOURCE.glob("*.py")):
        if path.name == "__init__.py":
            continue
        note = f"# Made of fabric/client/_async/{path.name} by `make docs`; edit that one.\n"
        made[f"fabric/client/_sync/{path.name}"] = tidied(note + sync_source(path.read_text()), path.name)
    return made


def tidied(source: str, name: str) -> str:
    """In the tree's own format, imports in order."""
    for command in (["check", "--quiet", "--select", "I,F401,SIM117", "--fix"], ["format", "--quiet"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(TARGET / name), "-"],
            input=source, capture_output=True, text=True, check=True, cwd=ROOT,
        )  # fmt: skip
        source = done.stdout
    return source


def main() -> None:
    """Write them all."""
    for path, content in generated().items():
        (ROOT / path).write_text(content)
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
