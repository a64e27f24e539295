"""A write from plan to result: plan, consent, send, read back, judge, record."""
