"""What people paste for a key or an address: put right where that is certain, and otherwise refused in words."""

import re
from urllib.parse import urlsplit

from pydantic import SecretStr

API_ADDRESS = "https://core.wearepatchworks.com"
LOGIN_PATH = "/fabric/api/login"
DASHBOARD = "app.wearepatchworks.com"

_QUOTES = "\"'`"
_SCHEME_WORD = re.compile(r"(?:authorization\s*:\s*)?(?:bearer|basic|token)\s+", re.IGNORECASE)
_API_PATH = re.compile(r"/+api/+v1$", re.IGNORECASE)
_UNEXPANDED = re.compile(r"\$\{[^{}]*\}|\{\{[^{}]*\}\}")
_PLACEHOLDER = re.compile(r"\$\w+|\$env:\w+|%\w+%|<[^<>]*>", re.IGNORECASE)
"""What stands for a key or an address in examples; a password may look like it."""


def one_line(secret: SecretStr) -> SecretStr:
    """Raises `ValueError` for a secret with a control character."""
    if not secret.get_secret_value().isprintable():
        raise ValueError("must have no line break or other control character, not even at its end")
    return secret


def fits_a_header(secret: SecretStr) -> SecretStr:
    """Raises `ValueError` for a secret that no header can carry."""
    value = secret.get_secret_value()
    if not value.isascii() or value != value.strip():
        raise ValueError("must be plain ASCII without spaces around it, as it travels in a header")
    return secret


def is_unexpanded(value: object) -> bool:
    """Whether nobody has put the value of a variable in its place, as in `${NAME}` or `{{name}}`."""
    return isinstance(value, str) and _UNEXPANDED.fullmatch(unquoted(value)) is not None


def unquoted(text: str) -> str:
    """The text without a pair of quotation marks around all of it."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in _QUOTES else text


def api_key(value: object) -> object:
    """A key without quotation marks around it. Raises `ValueError` for what is no key, without showing it."""
    if not isinstance(value, str):
        return value
    key = _key(value)
    if _SCHEME_WORD.match(key):
        raise ValueError(
            'must be the key alone, without a word such as "Bearer" in front; a token of a login belongs in '
            "PATCHWORKS_BEARER_TOKEN"
        )
    return key


def bearer_token(value: object) -> object:
    """A token without quotation marks, and without `Bearer` in front. Raises `ValueError` like `api_key`."""
    return _key(_SCHEME_WORD.sub("", unquoted(value), count=1)) if isinstance(value, str) else value


def _key(text: str) -> str:
    key = unquoted(text)
    if key[:1] in _QUOTES or key[-1:] in _QUOTES:
        raise ValueError("has a quotation mark at its end or its beginning: write it without")
    _refuse_placeholder(key)
    return key


def _refuse_placeholder(text: str) -> None:
    if _PLACEHOLDER.fullmatch(text):
        raise ValueError("holds a placeholder, where the value itself belongs")


def address(value: object) -> object:
    """An address without quotation marks and spaces around it. Raises `ValueError` for what is none."""
    if not isinstance(value, str):
        return value
    url = unquoted(value.strip())
    _refuse_placeholder(url)
    if _UNEXPANDED.search(url):
        raise ValueError("holds a placeholder that nobody has filled in")
    if "://" not in url:
        raise ValueError(f"must be a web address such as {API_ADDRESS}, with https:// in front")
    if not url.isprintable() or " " in url:
        raise ValueError("must have no space or line break in it")
    try:
        has_odd_port = urlsplit(url).port == 0
    except ValueError:  # its words repeat what was given
        has_odd_port = True
    if has_odd_port:
        raise ValueError("must have a port from 1 to 65535 behind its host, or none")
    return url


def address_of_api(url: str) -> str:
    """The API's address without the path that every request has anyway. Raises `ValueError` for the dashboard's."""
    if urlsplit(url).hostname == DASHBOARD:
        raise ValueError(f"is the dashboard, where people log in; the API is at {API_ADDRESS}")
    return _API_PATH.sub("", url).rstrip("/")


def address_of_login(url: str) -> str:
    """The login's address, with its path where only the host was given."""
    return url if urlsplit(url).path else url + LOGIN_PATH
