"""Changing the files of others: what is not ours stays as it is, letter by letter."""
