"""Money: what is owed, held, earned and paid."""
