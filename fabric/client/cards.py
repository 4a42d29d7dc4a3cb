"""Model cards as files: read from JSON or TOML, and templates for the usual networks."""

import json
import tomllib
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "templates"
TEMPLATES = ("image-classifier", "object-detector", "sentence-embedding", "speech")
CARD_BYTES_MAX = 8 * 1024 * 1024


def template(name: str) -> str:
    """The card of a usual network, in TOML with explanations.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in TEMPLATES:
        raise ValueError(f"there is no template {name!r}; there are {', '.join(TEMPLATES)}")
    return (FOLDER / f"{name}.toml").read_text(encoding="utf-8")


def write_template(name: str, path: Path) -> None:
    """Write a template to a new file.

    Raises:
        ValueError: there is none of that name.
        FileExistsError: the file is there already, and stays as it is.
    """
    text = template(name)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise FileExistsError(f"{path} exists already; name another file with --output") from None


def read_card(path: str | Path) -> dict[str, Any]:
    """A card from a `.toml` or `.json` file.

    Raises:
        ValueError: it is neither, or holds no table.
    """
    source = Path(path)
    if source.stat().st_size > CARD_BYTES_MAX:
        raise ValueError(f"{source.name} has more than {CARD_BYTES_MAX} bytes")
    text = source.read_text(encoding="utf-8")
    try:
        card = tomllib.loads(text) if source.suffix.lower() == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source.name} cannot be read: {error}") from error
    if not isinstance(card, dict):
        raise ValueError(f"{source.name} holds no card: an object with description, inputs and outputs")
    return card
