"""The example notebooks, cell by cell, as a data scientist runs them; and many items through a real fabric, twice over."""

import asyncio
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from benchmarks.trivial import trivial_model
from fabric.client import AsyncClient, ItemFailed
from tests.fixtures.media import picture

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
CELL_TIMEOUT_S = 120

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


@pytest.fixture
def run_notebook(fabric, monkeypatch):
    """Runs a notebook in a kernel of its own that knows of the fabric only what a person would set."""
    monkeypatch.setenv("FABRIC_URL", fabric.url)
    monkeypatch.setenv("FABRIC_API_KEY", fabric.api_key)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run(path: Path) -> list[dict]:
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(
            notebook, timeout=CELL_TIMEOUT_S, kernel_name="python3", resources={"metadata": {"path": path.parent}}
        ).execute()
        return [output for cell in notebook.cells for output in cell.get("outputs", [])]

    return run


def said(outputs: list[dict]) -> str:
    return "".join(
        output.get("text", "") for output in outputs if output["output_type"] == "stream" and output["name"] == "stdout"
    )


def shown(outputs: list[dict], media_type: str) -> list[str]:
    return [output["data"][media_type] for output in outputs if media_type in output.get("data", {})]


def test_the_digits_notebook_runs_and_shows_what_happened(run_notebook):
    outputs = run_notebook(ROOT / "examples/digits.ipynb")
    assert float(re.search(r"([\d.]+)% of \d+ scans", said(outputs))[1]) > 90
    tables = "".join(shown(outputs, "text/html"))
    assert all(text in tables for text in ("available", "play money", "about", "of 899", "held", "cost"))
    assert len(shown(outputs, "image/png")) == 1  # the timeline
    assert shown(outputs, "application/vnd.jupyter.widget-view+json")  # the bar


def test_the_texts_notebook_runs_and_its_labels_are_good(run_notebook):
    outputs = run_notebook(ROOT / "examples/texts.ipynb")
    assert float(re.search(r"([\d.]+)% of \d+ sentences", said(outputs))[1]) > 80
    assert "['network', 'numbers']" in shown(outputs, "text/plain")


def test_the_page_for_data_scientists_says_what_works(fabric, monkeypatch, capsys):
    monkeypatch.setenv("FABRIC_URL", fabric.url)
    monkeypatch.setenv("FABRIC_API_KEY", fabric.api_key)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/notebooks.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    for block in blocks:
        exec(block, names)
    truth = names["trained"].labels
    assert np.mean(names["labels"].ravel() == truth[:100]) > 0.9
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3] == str([int(label) for label in names["labels"].ravel()[:10]])
    assert lines[-2].startswith("succeeded ")
    assert len(blocks) == 6


def test_every_notebook_is_run_by_a_test():
    assert [path.name for path in NOTEBOOKS] == ["digits.ipynb", "texts.ipynb"]
    for path in NOTEBOOKS:
        assert nbformat.read(path, as_version=4).cells[0].cell_type == "markdown"


def test_a_generator_is_mapped_over_two_machines_in_order(client, fabric):
    # Given more items than the window holds, made as they are asked for
    client.models.upload("trivial", trivial_model())
    items = (np.full(4, i, np.float32) for i in range(700))
    # When they are mapped
    found = [float(y[0]) for y in client.map("trivial", items, window=256)]
    # Then every result is there, in order, and both machines had a part in it
    assert found == [2.0 * i + 1 for i in range(700)]
    made = client.jobs.list(model="trivial", limit=4)
    assert len({job["labels"]["map"] for job in made}) == 1
    # And the asynchronous twin does the same
    assert asyncio.run(twice(fabric)) == [1.0, 3.0, 5.0]


async def twice(fabric) -> list[float]:
    async with AsyncClient(fabric.url, fabric.api_key) as client:
        return [float(y[0]) async for y in client.map("trivial", [[i] * 4 for i in range(3)])]


def test_a_picture_that_is_none_fails_alone_in_its_place(client):
    card = {"description": "", "inputs": {"x": {"codec": "image", "color": "gray", "layout": "flat"}}}
    client.models.upload("pixels", trivial_model(), card=card)
    with client.executor("pixels") as executor:
        good, bad = executor.submit(picture(side=2)), executor.submit(b"\x89PNG\r\n\x1a\nnot really")
        assert good.result(60).shape == (4,)
        with pytest.raises(ItemFailed) as caught:
            bad.result(60)
    assert caught.value.index == 1
