"""The mutants: in which function, what is there, what is put in its place, and which invariant must find it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One wrong line."""

    function: str
    line: str
    mutant: str
    invariant: str

    def __str__(self) -> str:
        return f"{self.function}: {self.line}  →  {self.mutant or '(left out)'}"


OF_JOBS = (
    Mutant("judge_captures", "s.gross % 10000 * s.bps / 10000", "s.gross % 10000 * s.bps / 10000 + 1", "I8 the split is exact"),
    Mutant("judge_captures", "s.gross % 10000 * s.bps / 10000", "0", "I8 the split is exact"),
    Mutant("judge_captures", "hold.balance < g.gross", "hold.balance <= g.gross", "I3 a capture of the whole hold fits"),
    Mutant("judge_captures", "hold.closed_at IS NOT NULL", "hold.closed_at IS NULL", "I6 nothing leaves a closed hold"),
    Mutant("judge_captures", "coalesce(g.gross, 0) <= 0", "false", "an amount is above zero"),
    Mutant("judge_captures", "CAST(s.bps AS text))", "'')", "I5 same key, same body"),
    Mutant("judge_captures", "CAST(s.provider_id AS text),", "'',", "I5 same key, same body"),
    Mutant("fund_captures", "_line.gross > _left", "_line.gross >= _left", "I3 exact fits are no overdraft"),
    Mutant("fund_captures", "_left := _left - _line.gross", "_left := _left", "I3 no hold is overdrawn"),
    Mutant("fund_captures", "_taken := _taken || _line.subtask_id", "_taken := _taken", "I4 one capture for a subtask"),
    Mutant("capture", "l.hold_seq + row_number()", "l.hold_seq + 1 + row_number()", "I7 numbering without gaps"),
    Mutant("capture", "l.hold_balance - sum(l.gross)", "l.hold_balance + sum(l.gross)", "I7 counters are sums"),
    Mutant("capture", "seq = a.seq + _line.entries", "seq = a.seq + 1", "I7 numbering without gaps"),
    Mutant("capture", "debits = a.debits + _line.debit", "debits = a.debits", "I7 counters are sums"),
    Mutant("capture", "l.commission > 0", "l.commission > 1", "I1 a transaction balances"),
    Mutant("capture", "l.objection IS NULL AND l.gross > l.commission", "l.objection IS NULL", "I1 no line moves nothing"),
    Mutant(
        "capture",
        "WHEN t.body_hash = l.body_hash THEN 'duplicate'",
        "WHEN t.body_hash IS NOT NULL THEN 'duplicate'",
        "I5 same key, same body",
    ),
    Mutant("place_hold", "available_nanos < _amount", "available_nanos <= _amount", "I3 a hold of the whole wallet fits"),
    Mutant(
        "release_hold", "UPDATE ledger.accounts SET closed_at = now() WHERE id = _hold.id;", "", "I6 a released hold is closed"
    ),
    Mutant("release_hold", "_hold.holder_id IS DISTINCT FROM _user", "false", "a hold goes back to its holder"),
    Mutant("post", "_old.body_hash <> _hash", "false", "I5 same key, same body"),
    Mutant("post", "seq = a.seq + 1", "seq = a.seq + 2", "I7 numbering without gaps"),
)
"""Found by `ledger_replay`."""

OF_MONEY = (
    Mutant("place_hold", "promotional_nanos := least(_gift, _amount)", "promotional_nanos := 0", "gifts are spent first"),
    Mutant("place_hold", "_hold.holder_id <> _user OR _hold.amount <> _amount", "false", "I5 same key, same body"),
    Mutant("add_to_hold", "_hold.holder_id IS DISTINCT FROM _user", "false", "a hold grows by its holder only"),
    Mutant("add_to_hold", "available_nanos < _amount", "available_nanos <= _amount", "I3 exact fits are no overdraft"),
    Mutant("release_hold", "_hold.credits - ledger.promotional_part(_job)", "_hold.credits", "gifts go back as gifts"),
    Mutant("mature", "EXIT WHEN _entry.created_at >= _before;", "", "nothing matures before its time"),
    Mutant("mature", "e.seq > _from", "e.seq > 0", "nothing matures twice"),
    Mutant("mature", "_entry.side = 'C' AND NOT EXISTS", "NOT EXISTS", "only earnings mature"),
    Mutant("mature", "c.kind = 'clawback'", "c.kind = 'release'", "what was taken back does not mature"),
    Mutant(
        "mature", "least(matured_nanos, ledger.balance_of('provider:*:debt', _owner))", "0", "debts are collected at maturation"
    ),
    Mutant("collect_debt", ":= least(", ":= greatest(", "no more is collected than is owed"),
    Mutant("claw_back", "_earned.seq <= (SELECT", "_earned.seq < (SELECT", "a clawback takes from where the money is"),
    Mutant(
        "claw_back",
        "greatest(0, least(_gift, returned_nanos))",
        "greatest(0, _gift)",
        "I1 a clawback gives what the capture gave",
    ),
    Mutant("claw_back", "t.job_id = _hold.owner_id AND t.kind = 'clawback'", "false", "gifts come back once"),
    Mutant("claw_back", "_earned.amount - owed_nanos", "_earned.amount", "I1 a transaction balances"),
    Mutant(
        "payout_reserve",
        "greatest(0, available_nanos - ledger.balance_of('provider:*:debt', _owner))",
        "available_nanos",
        "I3 what is owed is not paid out",
    ),
    Mutant("payout_reserve", "available_nanos < _amount", "available_nanos <= _amount", "I3 exact fits are no overdraft"),
    Mutant("payout_reserve", "PERFORM ledger.check_cents(_amount);", "", "payouts are of whole cents"),
    Mutant("transfer_made", "IS NOT NULL THEN", "IS NULL AND false THEN", "nothing is transferred after it was given back"),
    Mutant(
        "payout_unreserve", "ledger.count_of_payout(_payout, 'transfer') > 0", "false", "nothing is given back after its transfer"
    ),
    Mutant("payout_paid", "ledger.count_of_payout(_payout, 'payout_paid') + ", "0 + ", "I4 a payout is paid once"),
    Mutant("payout_paid", "+ ledger.count_of_payout(_payout, 'payout_returned')", "", "a returned payout can be paid again"),
    Mutant(
        "transfer_reversed",
        "ledger.count_of_payout(_payout, 'payout_paid') > ledger",
        "0 > ledger",
        "nothing is taken back that the bank has",
    ),
    Mutant("transfer_reversed", "IF _written.created THEN", "IF NOT _written.created THEN", "debts are collected at a reversal"),
    Mutant("refund_begin", "available_nanos < _amount", "available_nanos <= _amount", "I3 exact fits are no overdraft"),
    Mutant(
        "refund_done", "ledger.transaction_of(_key) IS NULL AND EXISTS", "false AND EXISTS", "nothing is sent after it failed"
    ),
    Mutant("refund_failed", "WHEN _done IS NULL THEN", "WHEN true THEN", "a refund that was sent comes back from Stripe"),
    Mutant("chargeback", "least(_amount, ledger.balance_of", "greatest(_amount, ledger.balance_of", "I3 no wallet is overdrawn"),
    Mutant("chargeback", "'fee', _fee) THEN", "'fee', _fee) AND false THEN", "I5 same key, same body"),
    Mutant(
        "chargeback_won",
        "_fee_back, -1) NOT BETWEEN 0 AND _d.fee",
        "_fee_back, -1) < 0",
        "no more of the fee comes back than was taken",
    ),
    Mutant("chargeback_won", "':lost') IS NOT NULL", "':lost') IS NULL AND false", "a lost dispute is not won"),
    Mutant("chargeback_lost", "lost_nanos := _d.owed - _taken", "lost_nanos := _d.owed", "the loss is what nobody pays"),
)
"""Found by `money_replay`."""
