"""The audit log: one JSON line for each attempt to change something, whatever became of it."""
