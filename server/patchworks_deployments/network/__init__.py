"""The way out of this machine: proxies, certificates, the bound on an answer, and why no connection was made."""
