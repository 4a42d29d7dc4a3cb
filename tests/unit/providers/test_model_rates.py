import pytest

from fabric.core.errors import Invalid
from fabric.core.ids import ProviderId, UserId
from fabric.marketplace.offers import Offer
from fabric.providers.rates import MODEL_RATES_MAX, RATE_NANOS_PER_HOUR_MIN, changed

RATE = 10_000_000
HEAVY, LIGHT = "mdl_heavy", "mdl_light"


def test_an_owner_asks_more_for_one_model_refuses_another_and_takes_both_back():
    rates = changed({}, [(HEAVY, 5 * RATE), (LIGHT, "refuse")])
    assert rates == {HEAVY: 5 * RATE, LIGHT: None}
    assert changed(rates, [(HEAVY, "refuse"), (HEAVY, 2 * RATE)]) == {HEAVY: 2 * RATE, LIGHT: None}
    assert changed(rates, [(HEAVY, "auto"), (LIGHT, "auto"), ("mdl_other", "auto")]) == {}


def test_rates_out_of_range_and_too_many_models_are_refused():
    with pytest.raises(Invalid, match="price"):
        changed({}, [(HEAVY, RATE_NANOS_PER_HOUR_MIN - 1)])
    full = {f"mdl_{n}": RATE for n in range(MODEL_RATES_MAX)}
    assert len(changed(full, [("mdl_0", "refuse")])) == MODEL_RATES_MAX
    with pytest.raises(Invalid, match="at most"):
        changed(full, [(HEAVY, RATE)])


def test_an_offer_stands_for_a_model_at_that_models_rate():
    facts = (ProviderId(int=1), UserId(int=2), "attic", 0, "cpu", "EPYC", 1, 4.0, "eu", 1.0, RATE, False)
    offer = Offer(*facts, is_auto=True, model_rates={HEAVY: 5 * RATE, LIGHT: None})
    asking = offer.asking(HEAVY)
    assert asking is not None
    assert (asking.rate_nanos_per_hour, asking.is_auto) == (5 * RATE, False)
    assert offer.asking(LIGHT) is None
    assert offer.asking("mdl_other") is offer.asking(None) is offer
