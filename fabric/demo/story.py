"""`fabric demo`: starts a fabric, runs two real jobs, compares every output with a local run, prints what happened."""

import asyncio
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from rich.console import Console
from rich.table import Table

from fabric.client import Client, FabricClientError, Job
from fabric.core.errors import FabricError
from fabric.core.money import usd_text
from fabric.demo import digits, squeezenet
from fabric.local.audit import read_books
from fabric.local.bootstrap import BootstrapFailed
from fabric.local.parts import PartFailed
from fabric.local.up import LocalFabric

SQUEEZENET_ITEMS = 64
KILL_ITEMS = 240
KILL_AFTER_ITEMS = 40
TOLERANCE = 1e-4
JOB_TIMEOUT_S = 180.0

console = Console(highlight=False, soft_wrap=True)


def run_demo(*, kill_provider: bool = False) -> int:
    """Tell the whole story on this machine; 0 when everything was as promised."""
    started = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="fabric-demo-"))
    try:
        with LocalFabric(home=home, providers=2, tell=tell) as fabric, Client(fabric.url, fabric.api_key) as client:
            checks = [digits_job(client, home)]
            if kill_provider:
                checks.append(kill_story(client, home, lambda: fabric.kill_provider(0)))
            else:
                checks.append(squeezenet_job(client, home))
            checks.append(books(fabric))
            tell("stopping everything")
    except (PartFailed, BootstrapFailed, FabricError, FabricClientError) as error:
        console.print(f"[red]{type(error).__name__}[/red]: {error}")
        return 1
    finally:
        shutil.rmtree(home, ignore_errors=True)
    console.print(f"\ndone in {time.monotonic() - started:.1f} s")
    if not all(checks):
        console.print("[red]something above is not as it should be[/red]")
        return 1
    return 0


def tell(line: str) -> None:
    """Say what is being done now."""
    console.print(f"[dim]·[/dim] {line}")


def digits_job(client: Client, home: Path) -> bool:
    """Train, upload, classify the held-out scans on two machines, compare, print."""
    console.rule("1. handwritten digits")
    tell("training a small classifier on scikit-learn's scans")
    trained = digits.train()
    client.models.upload("digits", trained.onnx, card=trained.card)
    folder = home / "digits"
    folder.mkdir()
    paths = []
    for index, png in enumerate(trained.images_png):
        paths.append(folder / f"{index:04d}.png")
        paths[-1].write_bytes(png)
    tell(f"uploading {len(paths)} held-out scans as PNG files")
    files = client.files.upload_many(paths)
    before = client.wallet.balance()["available"]["usd"]
    quote = client.quote("digits", files)
    job = client.submit("digits", files, requirements={}).wait(JOB_TIMEOUT_S)
    outputs = job.results()
    expected = digits.run_locally(trained)
    console.print(f"accuracy          {np.mean(outputs['label'] == trained.labels):.1%} of {len(paths)} scans")
    return all([same_as_local(outputs, expected), money(client, job, quote, before), who_did_what(job, 12)])


def squeezenet_job(client: Client, home: Path) -> bool:
    """SqueezeNet's architecture with our own seeded weights, uint8 tensors from one .npy."""
    console.rule("2. SqueezeNet")
    model, images, expected = squeezenet_case(client, SQUEEZENET_ITEMS)
    path = home / "images.npy"
    np.save(path, images)
    before = client.wallet.balance()["available"]["usd"]
    quote = client.quote(model, path)
    job = client.submit(model, path).wait(JOB_TIMEOUT_S)
    outputs = job.results()
    distinct = len(np.unique(outputs["logits"].round(4), axis=0)) == len(images)
    console.print(f"distinct outputs  {distinct}")
    return all([same_as_local(outputs, expected), distinct, money(client, job, quote, before), who_did_what(job, 2)])


def squeezenet_case(client: Client, items: int) -> tuple[str, Any, dict[str, Any]]:
    """Upload the model; gives its name, seeded images and the outputs of a local run."""
    tell("building SqueezeNet and running it locally for comparison")
    onnx = squeezenet.build()
    client.models.upload("squeezenet", onnx, card=squeezenet.CARD)
    images = squeezenet.images(items)
    return "squeezenet", images, squeezenet.run_locally(onnx, images)


def kill_story(client: Client, home: Path, kill: Callable[[], None]) -> bool:
    """The same job twice, the second time with one provider's node killed in the middle: only the time changes."""
    console.rule("2. SqueezeNet, and one machine dies")
    model, images, expected = squeezenet_case(client, KILL_ITEMS)
    path = home / "images.npy"
    np.save(path, images)
    file = client.files.upload(path)
    before = client.wallet.balance()["available"]["usd"]
    quote = client.quote(model, file)
    calm = client.submit(model, file).wait(JOB_TIMEOUT_S)
    job = client.submit(model, file)
    killer = threading.Thread(target=kill_in_the_middle, args=(client, job.id, kill))
    killer.start()
    job.wait(JOB_TIMEOUT_S)
    killer.join()
    outputs = job.results()
    lost = sum(attempt["outcome"] == "lost" for s in job.subtasks() for attempt in s.get("attempts", []))
    console.print(f"attempts lost     {lost}, charged for none of them")
    console.print(f"undisturbed       {calm.facts['run_s']:.1f} s, {calm.cost['captured']['usd']} USD")
    console.print(f"one machine died  {job.facts['run_s']:.1f} s, {job.cost['captured']['usd']} USD")
    return all([same_as_local(outputs, expected), lost > 0, money(client, job, quote, before), who_did_what(job, 2)])


def kill_in_the_middle(client: Client, job_id: str, kill: Callable[[], None]) -> None:
    """Wait until some items are done, then kill."""
    job = client.job(job_id)
    for _, _, data in job.events():
        if data.get("items_done", 0) >= KILL_AFTER_ITEMS:
            tell("killing one provider's Ray node (SIGKILL)")
            kill()
            return


def same_as_local(outputs: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Whether every output equals the local run within float tolerance, in input order."""
    same = outputs.keys() == expected.keys()
    worst = 0.0
    for name, array in expected.items():
        got = outputs[name].reshape(array.shape)
        worst = max(worst, float(np.max(np.abs(got.astype(np.float64) - array.astype(np.float64)), initial=0.0)))
    same = same and worst <= TOLERANCE
    console.print(
        f"equal to a local onnxruntime {onnxruntime.__version__} run, in input order: {same} (largest difference {worst:.1e})"
    )
    return same


def money(client: Client, job: Job, quote: dict[str, Any], before_usd: str) -> bool:
    """Print quote, captured cost, commission, earnings and the wallet; true when they agree."""
    cost = job.cost
    captured, commission = cost["captured"]["usd_nanos"], cost["commission"]["usd_nanos"]
    earned = sum(p["earned"]["usd_nanos"] for p in cost["by_provider"])
    wallet = client.wallet.balance()
    console.print(f"quote             {quote['price_expected']['usd']} USD expected, {quote['hold']['usd']} USD held")
    console.print(f"captured          {cost['captured']['usd']} USD, of which commission {cost['commission']['usd']} USD")
    for provider in cost["by_provider"]:
        console.print(f"  {provider['name']:<16}{provider['earned']['usd']} USD earned")
    console.print(f"wallet            {before_usd} USD before, {wallet['available']['usd']} USD after (play money)")
    console.print(f"time              {job.facts['queue_s']:.2f} s queued, {job.facts['run_s']:.2f} s running")
    agrees = bool(captured == commission + earned and captured <= cost["held"]["usd_nanos"])
    if not agrees:
        console.print(f"[red]captured {usd_text(captured)} is not commission + earnings, or more than the hold[/red]")
    return agrees


def who_did_what(job: Job, subtasks_min: int) -> bool:
    """A small table of the machines; true when there were enough subtasks."""
    subtasks = job.subtasks()
    table = Table(box=None, pad_edge=False)
    for title in ("machine", "subtasks", "items", "seconds billed", "USD"):
        table.add_column(title, justify="left" if title == "machine" else "right")
    for provider in job.cost["by_provider"]:
        mine = [s for s in subtasks if s["provider_id"] == provider["provider_id"]]
        items = sum(s["item_count"] for s in mine)
        table.add_row(provider["name"], str(len(mine)), str(items), f"{provider['seconds']:.3f}", provider["gross"]["usd"])
    console.print(table)
    spread = len(job.cost["by_provider"]) > 1
    if not spread or len(subtasks) < subtasks_min:
        console.print(f"[red]{len(subtasks)} subtasks on {len(job.cost['by_provider'])} machines[/red]")
    return bool(spread and len(subtasks) >= subtasks_min)


def books(fabric: LocalFabric) -> bool:
    """Print the trial balance and the audits; true when both are clean."""
    console.rule("the books")
    balance, findings = asyncio.run(read_books(fabric.database_url))
    console.print(f"trial balance     {balance}")
    console.print(f"audits            {findings or 'all empty'}")
    return balance == 0 and not findings
