"""Money as integer nano-dollars; every rounding rule lives here.

1 USD = 1,000,000,000 nano-USD. A signed 64-bit integer reaches about 9 billion USD. Money is never a float.
"""

from decimal import Decimal, InvalidOperation

from fabric.core.errors import Invalid

NANOS_PER_USD = 1_000_000_000
NANOS_PER_CENT = 10_000_000
NANOS_MAX = 2**63 - 1
MICROSECONDS_PER_HOUR = 3_600_000_000
BASIS_POINTS = 10_000


def usd_nanos(text: str | Decimal | int) -> int:
    """Read an exact decimal amount of dollars ("1.50") as nano-USD.

    Raises:
        Invalid: not a finite decimal number, finer than a nano-dollar, negative, or too large.
    """
    try:
        nanos = Decimal(text) * NANOS_PER_USD
    except (InvalidOperation, ValueError) as error:
        raise Invalid(f"{text!r} is not an amount of USD") from error
    if not nanos.is_finite() or nanos != nanos.to_integral_value() or not 0 <= nanos <= NANOS_MAX:
        raise Invalid(f"{text!r} is not an amount of USD between 0 and 9 billion with at most nine decimals")
    return int(nanos)


def usd_text(nanos: int) -> str:
    """Write nano-USD as an exact decimal string of dollars, nine decimals."""
    sign, rest = ("-", -nanos) if nanos < 0 else ("", nanos)
    return f"{sign}{rest // NANOS_PER_USD}.{rest % NANOS_PER_USD:09d}"


def whole_cents(nanos: int) -> int:
    """The part of an amount that a payment service can move; the residue stays where it is."""
    return nanos - nanos % NANOS_PER_CENT


def price_nanos(rate_nanos_per_hour: int, billed_us: int) -> int:
    """Price of `billed_us` microseconds at an hourly rate, rounded down, at least 1 nano-USD (0 when the rate is 0)."""
    if rate_nanos_per_hour == 0:
        return 0
    return max(1, rate_nanos_per_hour * billed_us // MICROSECONDS_PER_HOUR)


def commission_nanos(gross_nanos: int, basis_points: int) -> int:
    """The platform's part of a capture: floor(gross × bps / 10,000). The provider gets the rest."""
    return gross_nanos * basis_points // BASIS_POINTS
