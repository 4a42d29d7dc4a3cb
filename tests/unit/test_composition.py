"""The composition root: what it chooses, and what it refuses before anything starts."""

from pathlib import Path

import pytest

from fabric import wiring
from fabric.core.errors import Invalid
from fabric.core.settings import Settings, load_settings
from fabric.storage.local import LocalStore
from fabric.storage.s3 import S3Store

COMPLETE = {
    "database": {"app_url": "postgresql://app@127.0.0.1:1/fabric"},
    "auth": {"jwt_key": "j" * 43},
    "storage": {"public_url": "http://127.0.0.1:9", "signing_key": "k" * 43},
}


def settings(home: Path, **changes) -> Settings:
    return load_settings(home=home, **COMPLETE | changes)


async def test_a_complete_fabric_on_disk_deals_in_play_money(tmp_path):
    services = wiring.build(settings(tmp_path))
    assert isinstance(services.store, LocalStore)
    assert services.payments.livemode is False
    assert services.settings.objects_path == tmp_path / "objects"
    await services.close()


async def test_an_s3_url_chooses_s3_and_needs_no_object_server(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    services = wiring.build(settings(tmp_path, storage={"url": "s3://bucket/prefix", "endpoint_url": "http://127.0.0.1:9"}))
    assert isinstance(services.store, S3Store)
    await services.close()


def test_everything_that_is_missing_is_said_at_once(tmp_path):
    with pytest.raises(Invalid) as refusal:
        wiring.build(load_settings(home=tmp_path))
    for variable in ("DATABASE_APP_URL", "AUTH_JWT_KEY", "STORAGE_PUBLIC_URL", "STORAGE_SIGNING_KEY"):
        assert f"FABRIC_{variable}" in refusal.value.detail


def test_real_money_and_unknown_stores_are_refused(tmp_path):
    wrong = settings(tmp_path, billing={"livemode": True}, storage=COMPLETE["storage"] | {"url": "ftp://x"})
    assert [line.split(":")[0] for line in wiring.missing_settings(wrong)] == ["FABRIC_STORAGE_URL", "FABRIC_BILLING_LIVEMODE"]
