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


def test_unknown_stores_are_refused(tmp_path):
    wrong = settings(tmp_path, storage=COMPLETE["storage"] | {"url": "ftp://x"})
    assert [line.split(":")[0] for line in wiring.missing_settings(wrong)] == ["FABRIC_STORAGE_URL"]


@pytest.mark.parametrize(
    ("key", "livemode"), [("sk_test_x", False), ("rk_test_x", False), ("sk_live_x", True), ("rk_live_x", True)]
)
async def test_a_stripe_key_chooses_stripe_and_says_whether_money_is_real(tmp_path, key, livemode):
    billing = {"stripe_key": key, "stripe_webhook_secrets": "whsec_a, whsec_b", "stripe_return_url": "https://fabric.test"}
    services = wiring.build(settings(tmp_path, billing=billing))
    assert services.payments is services.payouts is services.cards
    assert services.payments.livemode is livemode
    await services.close()


def test_real_money_needs_webhooks_and_a_place_to_come_back_to(tmp_path):
    lacking = wiring.missing_settings(settings(tmp_path, billing={"stripe_key": "sk_live_x"}))
    assert [line.split(":")[0] for line in lacking] == [
        "FABRIC_BILLING_STRIPE_WEBHOOK_SECRETS", "FABRIC_BILLING_STRIPE_RETURN_URL",
    ]  # fmt: skip
    assert wiring.missing_settings(settings(tmp_path, billing={"stripe_key": "sk_test_x"})) == []


async def test_play_money_does_not_wait_for_the_sdk_of_stripe(tmp_path):
    services = wiring.build(settings(tmp_path))
    assert services.cards is None
    await services.close()
