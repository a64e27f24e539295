"""The tools as an assistant sees them, each with its arguments."""
