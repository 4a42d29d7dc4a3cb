"""The commands `fabric files …`."""

from pathlib import Path
from typing import Annotated

import typer

from fabric.cli.commands import Commands
from fabric.cli.printing import show, tell, tell_record, write_bytes
from fabric.cli.reach import connect

app = Commands(help="Upload, list, fetch and delete files that jobs take as inputs.", no_args_is_help=True)

FIELDS = {
    "id": lambda f: f["id"], "name": lambda f: f["name"], "size": lambda f: f"{f['size']:,}", "kind": lambda f: f["media_type"],
    "status": lambda f: f["status"], "created": lambda f: f["created_at"],
}  # fmt: skip


@app.command("upload")
def files_upload(paths: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False)]) -> None:
    """Upload files; prints their ids, which jobs take as inputs."""
    with connect() as client:
        show([client.files.upload(path) for path in paths], FIELDS)


@app.command("list")
def files_list(limit: Annotated[int, typer.Option(min=1, max=200)] = 20) -> None:
    """Your files, newest first."""
    with connect() as client:
        show(client.files.list(limit=limit), FIELDS, nothing="no files yet: fabric files upload PATH …")


@app.command("show")
def files_show(file_id: str) -> None:
    """One file's facts."""
    with connect() as client:
        tell_record(client.files.get(file_id), {**FIELDS, "sha-256": lambda f: f["sha256"]})


@app.command("download")
def files_download(
    file_id: str,
    output: Annotated[Path | None, typer.Argument(help="Default: its own name, here.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace a file that is there.")] = False,
) -> None:
    """Fetch one file."""
    with connect() as client:
        target = output or Path(Path(str(client.files.get(file_id)["name"])).name)  # never a path of somebody else's choice
        write_bytes(client.files.download(file_id), target, overwrite=overwrite)


@app.command("delete")
def files_delete(file_ids: list[str]) -> None:
    """Delete files; jobs that use them keep what they need."""
    with connect() as client:
        for file_id in file_ids:
            client.files.delete(file_id)
    tell({"deleted": file_ids}, f"{len(file_ids)} deleted")
