"""The hosts: where each keeps its configuration, what an entry looks like there, and how it is put in."""
