"""What several test modules need: clients and people, faults, clocks, real processes, cases."""
