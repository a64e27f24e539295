"""What a host reads, completes and subscribes to."""
