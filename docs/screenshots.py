"""`make screenshots`: starts a fabric with demo data and takes a picture of every page of the console into docs/images."""

import shutil
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from fabric.client import Client
from fabric.demo import digits, squeezenet
from fabric.local.up import LocalFabric
from PIL import Image

REPOSITORY = Path(__file__).parents[1]
IMAGES = REPOSITORY / "docs" / "images"
COLOURS = 128
WAIT_S = 120


def main() -> None:
    """Take them."""
    home = Path(tempfile.mkdtemp(prefix="fb-shots-"))
    home.chmod(0o711)
    try:
        with LocalFabric(home=home, providers=2) as fabric:
            with Client(fabric.url, fabric.api_key) as client:
                show_something(client)
            with Client(fabric.url, fabric.owner_api_key) as owner:
                show_hours(owner)
            passwords = [str(fabric.home.secret(f"{name}.password")) for name in ("you", "owner", "operator")]
            script = ["node", "scripts/screenshots.mjs", fabric.url, str(IMAGES), *passwords]
            subprocess.run(script, cwd=REPOSITORY / "console", check=True)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    for picture in IMAGES.glob("*.png"):
        shrink(picture)


def show_something(client: Client) -> None:
    """Models, finished jobs, one with a damaged picture, and one that waits."""
    trained = digits.train()
    client.models.upload("digits", trained.onnx, card=trained.card)
    client.models.upload("squeezenet", squeezenet.build(), card=squeezenet.CARD)
    client.submit("squeezenet", squeezenet.images(60), labels={"dataset": "june"}).wait(WAIT_S, progress=False)
    pngs = list(trained.images_png[:200])
    pngs[3] = b"\x89PNG\r\n\x1a\nnot really"
    client.submit("digits", client.files.upload_many(pngs), labels={"dataset": "scans", "run": "7"}).wait(WAIT_S, progress=False)
    client.submit("digits", client.files.upload_many(pngs[10:14]), requirements={"region": ["the-moon"]})


def show_hours(owner: Client) -> None:
    """One machine that lends in certain hours, the present one among them."""
    hour = datetime.now(UTC).hour
    machine_id = next(one["id"] for one in owner.providers.list() if one["name"] == "local-2")
    owner.providers.set_schedule(machine_id, f"mo-fr {(hour - 5) % 24}-{(hour + 7) % 24}, sa-su 0-24")


def shrink(picture: Path) -> None:
    """Flat colours need no more than a palette."""
    with Image.open(picture) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(picture, optimize=True)


if __name__ == "__main__":
    main()
