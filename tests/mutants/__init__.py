"""One-line mutants of the ledger's SQL, and the proof that the replays find each of them."""
