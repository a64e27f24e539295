"""`check`: what stands between this server and its account, found by looking and changing nothing."""
