"""The tools, as a host sees them."""
