"""The commands, each in its own file, and the command line that finds them."""
