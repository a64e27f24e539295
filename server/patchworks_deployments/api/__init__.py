"""The Patchworks Core API: one client, its credentials, its pace."""
