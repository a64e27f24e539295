"""Who must agree to a write, how a person is asked, and the codes for hosts that cannot ask."""
