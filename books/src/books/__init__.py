"""What every accounting plugin shares: ledgers, posting, governor, tokens, store."""
