"""A write from plan to result: plan, consent, act, verify, record."""
