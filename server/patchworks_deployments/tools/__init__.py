"""The tools as a model sees them, each with its arguments."""
