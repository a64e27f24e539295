"""The way out of this machine: proxies, certificates, and the bound on what an answer may hold."""
