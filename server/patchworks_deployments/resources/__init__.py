"""What a host can read, complete and subscribe to."""
