"""Unfinished business: what killed processes have left without an outcome, and how that is found out."""
