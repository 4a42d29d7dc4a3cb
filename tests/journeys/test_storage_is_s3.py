"""The same product with its bytes in S3: signed URLs of the store itself, no object server."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import numpy as np
import pytest

from fabric.client import Client
from fabric.demo import squeezenet
from fabric.local.up import LocalFabric

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture
def s3_fabric(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalFabric]:
    """A fabric that was told of a bucket by its settings."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
        "FABRIC_STORAGE_URL": "s3://fabric-journey/here", "FABRIC_STORAGE_ENDPOINT_URL": s3_endpoint,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1").create_bucket(Bucket="fabric-journey")
    home = Path(tempfile.mkdtemp(prefix="fb-home-"))
    home.chmod(0o711)
    try:
        with LocalFabric(home=home, providers=1) as running:
            yield running
    finally:
        shutil.rmtree(home, ignore_errors=True)


def test_large_inputs_and_outputs_go_through_s3_and_nothing_lies_on_disk(s3_fabric: LocalFabric, s3_endpoint: str):
    with Client(s3_fabric.url, s3_fabric.api_key) as client:
        # Given a file that is large enough for an upload by signed URL
        onnx, images = squeezenet.build(), squeezenet.images(80)
        client.models.upload("squeezenet", onnx, card=squeezenet.CARD)
        file = client.files.upload(images)
        # When it is run, with parts whose outputs are too large to ride along
        job = client.submit("squeezenet", file, items_per_subtask=40).wait(120, progress=False)
        # Then the results are right and the bytes are in the bucket
        np.testing.assert_allclose(job.results()["logits"], squeezenet.run_locally(onnx, images)["logits"], atol=1e-4)
        assert client.files.download(file["id"])[:6] == b"\x93NUMPY"
    bucket = boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1")
    keys = [entry["Key"] for entry in bucket.list_objects_v2(Bucket="fabric-journey")["Contents"]]
    assert {key.split("/")[1] for key in keys} >= {"files", "models", "outputs"}
    assert not [name for _, _, names in os.walk(s3_fabric.home.path / "objects") for name in names]
