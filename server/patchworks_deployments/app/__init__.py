"""The page that a host shows beside results, and the data that it gets with them."""
