"""A write from plan to result: plan, send, read back, judge."""
