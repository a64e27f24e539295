"""What stands around each request: its time, a stop, the audit log's attempt, and what a client is offered."""
