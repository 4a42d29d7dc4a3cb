"""The commands `fabric models …`."""

from pathlib import Path
from typing import Annotated

import typer

from fabric.cli.commands import Commands
from fabric.cli.printing import shapes, show, tell, tell_record
from fabric.cli.reach import connect
from fabric.client.cards import TEMPLATES, write_template

app = Commands(help="Upload, list, describe and retire models.", no_args_is_help=True)

FIELDS = {
    "id": lambda m: m["id"], "name": lambda m: f"{m['name']}:{m['version']}", "description": lambda m: m["description"],
    "inputs": lambda m: shapes(m["inputs"]), "outputs": lambda m: shapes(m["outputs"]),
    "size": lambda m: f"{m['size']:,} bytes, {m['parameters']:,} parameters, opset {m['opset']}",
    "time": lambda m: f"{m['profile']['item_us'] / 1000:.2f} ms an item" + (", in batches" if m["profile"]["batchable"] else ""),
    "seen by": lambda m: m["visibility"], "assets": lambda m: ", ".join(m["assets"]), "created": lambda m: m["created_at"],
}  # fmt: skip


@app.command("upload")
def models_upload(
    name: str,
    file: Annotated[Path, typer.Argument(exists=True)],
    card: Annotated[
        Path | None, typer.Option(help="JSON or TOML: how inputs are decoded and outputs finished.", exists=True)
    ] = None,
    asset: Annotated[list[Path] | None, typer.Option(help="A file that the card names, such as tokenizer.json.")] = None,
) -> None:
    """Upload an ONNX file as the next version of a model."""
    with connect() as client:
        model = client.models.upload(name, file, card=card, assets=asset or [])
    tell(model, f"{model['name']}:{model['version']} takes {shapes(model['inputs'])} and gives {shapes(model['outputs'])}")


@app.command("init")
def models_init(
    template: Annotated[str, typer.Option(help=f"One of {', '.join(TEMPLATES)}.")],
    output: Annotated[Path, typer.Option(help="Where to write the card.")] = Path("card.toml"),
) -> None:
    """Write a card with explanations, to be edited and given to `models upload --card`."""
    write_template(template, output)
    tell({"path": str(output)}, f"{output} is written; edit it, then: fabric models upload NAME MODEL.onnx --card {output}")


@app.command("list")
def models_list() -> None:
    """The models that you may run."""
    with connect() as client:
        found = client.models.list()
    columns = {
        "name": lambda m: m["name"], "version": lambda m: str(m["version"]),
        "inputs": lambda m: shapes(m["inputs"]), "outputs": lambda m: shapes(m["outputs"]),
        "batch": lambda m: "yes" if m["profile"]["batchable"] else "no", "ms/item": lambda m: f"{m['profile']['item_us'] / 1000:.2f}",
    }  # fmt: skip
    show(found, columns, nothing="no models yet: fabric models upload NAME MODEL.onnx")


@app.command("show")
def models_show(name: str) -> None:
    """One model: inputs, outputs, card, profile."""
    with connect() as client:
        tell_record(client.models.get(name), FIELDS)


@app.command("delete")
def models_delete(name: str) -> None:
    """Retire a model."""
    with connect() as client:
        client.models.delete(name)
    tell({"retired": name}, f"{name} is retired; jobs that use it go on")
