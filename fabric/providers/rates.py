"""What an owner may ask for a slot: an own rate within bounds, or whatever is suggested."""

from collections.abc import Mapping, Sequence
from typing import Literal

from fabric.core.errors import Invalid
from fabric.core.money import NANOS_PER_USD, usd_text

AUTO: Literal["auto"] = "auto"
"""The rate follows the suggestion."""
Rate = int | Literal["auto"]
RATE_NANOS_PER_HOUR_MIN = 100_000
"""A ten-thousandth of a dollar. Below it subtasks cost the one nano-dollar that each costs at least, and the rate means nothing."""
RATE_NANOS_PER_HOUR_MAX = 1_000_000 * NANOS_PER_USD


REFUSE: Literal["refuse"] = "refuse"
"""The model is not run here."""
MODEL_RATES_MAX = 64
"""Models that one slot asks something of its own for."""
ModelRate = int | Literal["auto", "refuse"]
"""For a single model: its own rate, whatever the slot asks otherwise (AUTO), or REFUSE."""
ModelRates = Mapping[str, int | None]
"""As a slot keeps them: by model id; None refuses."""


def rate_of_model(rates: ModelRates, model_id: str | None, otherwise: int) -> int | None:
    """Pure: what a slot asks for a model; None: it does not run it."""
    return rates.get(model_id, otherwise) if model_id is not None else otherwise


def changed(rates: ModelRates, changes: Sequence[tuple[str, ModelRate]]) -> dict[str, int | None]:
    """Pure: the rates after the changes, the last of which counts.

    Raises:
        Invalid: a rate is out of range, or too many models would have one.
    """
    result = dict(rates)
    for model_id, rate in changes:
        if rate == AUTO:
            result.pop(model_id, None)
        elif rate == REFUSE:
            result[model_id] = None
        else:
            require_rate(rate)
            result[model_id] = rate
    if len(result) > MODEL_RATES_MAX:
        raise Invalid(f"A slot asks something of its own for at most {MODEL_RATES_MAX} models.")
    return result


def require_rate(rate: Rate | None) -> None:
    """Check a rate that an owner sets.

    Raises:
        Invalid: it is below the floor, or absurd.
    """
    if rate is not None and rate != AUTO and not RATE_NANOS_PER_HOUR_MIN <= rate <= RATE_NANOS_PER_HOUR_MAX:
        floor = usd_text(RATE_NANOS_PER_HOUR_MIN).rstrip("0")
        raise Invalid(f"A price lies between {floor} and a million USD per hour.")
