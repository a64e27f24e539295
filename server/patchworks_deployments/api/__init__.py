"""The Patchworks Core API over one HTTP client."""
