"""The commands `fabric models …`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fabric.cli.printing import console, shapes, show
from fabric.cli.reach import AsJson, connect
from fabric.client.cards import TEMPLATES, write_template

app = typer.Typer(help="Upload and list models.", no_args_is_help=True)


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
        console.print_json(json.dumps(model))


@app.command("init")
def models_init(
    template: Annotated[str, typer.Option(help=f"One of {', '.join(TEMPLATES)}.")],
    output: Annotated[Path, typer.Option(help="Where to write the card.")] = Path("card.toml"),
) -> None:
    """Write a card with explanations, to be edited and given to `models upload --card`."""
    try:
        write_template(template, output)
    except (ValueError, FileExistsError) as error:
        console.print(str(error), highlight=False)
        raise typer.Exit(1) from None
    console.print(f"{output} is written; edit it, then: fabric models upload NAME MODEL.onnx --card {output}", highlight=False)


@app.command("list")
def models_list(as_json: AsJson = False) -> None:
    """The models that you may run."""
    with connect() as client:
        found = client.models.list()
    columns = {
        "name": lambda m: m["name"], "version": lambda m: str(m["version"]),
        "inputs": lambda m: shapes(m["inputs"]), "outputs": lambda m: shapes(m["outputs"]),
        "batch": lambda m: "yes" if m["profile"]["batchable"] else "no", "ms/item": lambda m: f"{m['profile']['item_us'] / 1000:.2f}",
    }  # fmt: skip
    show(found, columns, as_json)


@app.command("show")
def models_show(name: str) -> None:
    """One model: inputs, outputs, card, profile."""
    with connect() as client:
        console.print_json(json.dumps(client.models.get(name)))


@app.command("delete")
def models_delete(name: str) -> None:
    """Retire a model."""
    with connect() as client:
        client.models.delete(name)
