"""What was changed, as the audit log has it: what became of it, what still stands, and how it is undone."""
