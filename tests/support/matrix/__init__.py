"""The fault matrix: which writes, which faults, how a case is played, and the rules that it is judged by."""
