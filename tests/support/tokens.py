"""A credential of each well-known kind; none is real."""

from collections.abc import Mapping

_LOT = "4eC39HqLyjWDarjtT1zdp7dcQ9vK2mXs8RbN5wYh"
_HEX = "c0ffee12ab34cd56ef78ab90c0ffee12"

TOKENS: Mapping[str, str] = {
    "JWT": f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.{_LOT}",
    "JSON in base64": "eyJwYXNzd29yZCI6ICJodW50ZXIyIn0",
    "AWS": "AKIA" + "IOSFODNN7EXAMPLE",
    "AWS, temporary": "ASIA" + "IOSFODNN7EXAMPLE",
    "Google": f"AIza{_LOT[:35]}",
    "Google client": f"GOCSPX-{_LOT[:28]}",
    "GitHub": f"ghp_{_LOT[:36]}",
    "GitHub app": f"ghs_{_LOT[:36]}",
    "GitHub, fine-grained": f"github_pat_{_LOT}",
    "GitLab": f"glpat-{_LOT[:20]}",
    "Stripe": f"sk_live_{_LOT[:24]}",
    "Stripe, restricted": f"rk_test_{_LOT[:24]}",
    "Stripe webhook": f"whsec_{_LOT[:32]}",
    "Shopify": f"shpat_{_HEX}",
    "Shopify app": f"shpss_{_HEX}",
    "Slack": f"xoxb-123456789012-123456789012-{_LOT[:24]}",
    "Slack app": f"xapp-1-A0123-456-{_HEX}",
    "Slack webhook": "https://hooks.slack.com/services/T000/B000/XXXXXXXXXXXXXXXX",
    "SendGrid": f"SG.{_LOT[:22]}.{_LOT}",
    "Twilio": f"SK{_HEX}",
    "Mailgun": f"key-{_HEX}",
    "Square": f"sq0atp-{_LOT[:22]}",
    "npm": f"npm_{_LOT[:36]}",
    "PyPI": f"pypi-AgEIcHlwaS5vcmc{_LOT}",
    "OpenAI": f"sk-proj-{_LOT}",
    "Hugging Face": "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH",
    "DigitalOcean": f"dop_v1_{_HEX}{_HEX}",
    "Databricks": f"dapi{_HEX}",
    "Vault": f"hvs.{_LOT}",
    "HubSpot": f"pat-eu1-{_LOT[:30]}",
    "Postman": f"PMAK-{_LOT[:24]}",
    "New Relic": f"NRAK-{_LOT[:27].upper()}",
    "private key": "-----BEGIN RSA PRIVATE KEY----- MIIEpAIBAAKCAQEA1c7 -----END RSA PRIVATE KEY-----",
    "database": "mysql://shop:hunter2rules@db.example:3306/orders",
}
"""The kinds are those of gitleaks (config/gitleaks.toml) that begin in a way of their own."""

LOTS: Mapping[str, str] = {
    "hex": _HEX,
    "base62": _LOT,
    "base64": "q83v+Zx/9aTb2LmN+4pQWd7r/Kc81sVt0YhUe5Jf",
    "base64 for URLs": "q83v-Zx_9aTb2LmN-4pQWd7r_Kc81sVt0YhUe5Jf",
    "lower case": "x7k2m9q4w8z1p5r3t6v0b2n8",
    "UUID": "9f1c2d3e-4a5b-6c7d-8e9f-0a1b2c3d4e5f",
}
"""What no maker has marked."""


def core_of(token: str) -> str:
    """The middle of a credential, of which nothing may be shown."""
    middle = len(token) // 2
    return token[middle - 4 : middle + 8]
