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

_LEFT_BLANK = re.compile(r"\$\{user_config\.[^{}]*\}")
"""What some hosts pass on for a field of a bundle (MCPB) that nobody has filled in, where others pass nothing or an
empty text. Its documentation leaves that open; a field that must be filled in never arrives like this."""

_VARIABLE = re.compile(r"\$\{[^{}]*\}|\$?\{\{[^{}]*\}\}")
"""What hosts and shells put a value in the place of: `${NAME}`, `${env:NAME}`, `${input:NAME}`, `{{NAME}}`."""

_REFERENCE = re.compile(r"op://[^/]+/[^/]+/.+|vault:\w+/\S+#\w+|@Microsoft\.KeyVault\(.*\)", re.IGNORECASE)
"""What leads to a secret that is kept elsewhere, in a way of writing that nobody uses for anything else."""

_PLACEHOLDER = re.compile(r"\$\w+|\$env:\w+|%\w+%|<[^<>]*>|\$\([^()]*\)", re.IGNORECASE)
"""What stands for a key or an address in examples and scripts; a password may look like it."""

_EXAMPLE = re.compile(
    r"[.…*x_-]+|change-?me"
    r"|(?:your|my|insert|enter|paste|put|replace)[a-z_ -]*"
    r"|(?:patchworks[_ -]?)?(?:api|access|bearer)[_ -]?(?:key|token)|[a-z_ -]+[_ -]here",
    re.IGNORECASE,
)
"""What examples have in the place of a key: `...`, `your-api-key`, `paste the key here`. It holds no digit."""

_IN_A_PATH = re.compile(r"%\w+%|^\$(?:env:)?\w+(?=[/\\]|$)", re.IGNORECASE)

_MAIL_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def is_left_blank(value: object) -> bool:
    """Whether a host has passed on its own word for a field that nobody has filled in."""
    return isinstance(value, str) and _LEFT_BLANK.fullmatch(unquoted(value.strip())) is not None


def value_itself(value: object) -> object:
    """The value. Raises `ValueError` where it only stands for one, in a way that is none of any setting."""
    if not isinstance(value, str):
        return value
    text = unquoted(value.strip())
    if _VARIABLE.fullmatch(text):
        raise ValueError(
            "holds a placeholder such as ${NAME}, in whose place nobody has put a value: set that variable where the "
            "host starts, or write the value itself"
        )
    if _REFERENCE.fullmatch(text):
        raise ValueError(
            "holds a reference to a secret, such as op://VAULT/ITEM/FIELD, and not the secret: let the program of that "
            "store start this server (for 1Password: op run --), or write the value itself"
        )
    return value


def refuse_variables(text: str) -> None:
    """Raises `ValueError` where a part of it, as of a list, stands for a value that nobody has put there."""
    if _VARIABLE.search(text) or any(_PLACEHOLDER.fullmatch(part.strip()) for part in text.split(",")):
        raise ValueError(
            "holds a placeholder that nobody has filled in; give the id of an environment that is really called so"
        )


def one_line(secret: SecretStr) -> SecretStr:
    """Raises `ValueError` for a secret with a control character."""
    if not secret.get_secret_value().isprintable():
        raise ValueError("must have no line break or other control character, not even at its end")
    return secret


def fits_a_header(secret: SecretStr) -> SecretStr:
    """Raises `ValueError` for a secret that no header can carry."""
    value = secret.get_secret_value()
    if not value.isascii() or " " in value:
        raise ValueError("must be plain ASCII without spaces, as it travels in a header")
    return secret


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
    if not key.strip():
        raise ValueError("holds only what stands around a value, and no value")
    if key[:1] in _QUOTES or key[-1:] in _QUOTES:
        raise ValueError("has a quotation mark at its end or its beginning: write it without")
    value_itself(key)
    _refuse_placeholder(key)
    if _EXAMPLE.fullmatch(key.strip()):
        raise ValueError("holds the words of an example, where the value itself belongs")
    if _MAIL_ADDRESS.fullmatch(key):
        raise ValueError(
            "holds an e-mail address: who logs in with one sets PATCHWORKS_USERNAME and PATCHWORKS_PASSWORD instead"
        )
    if "://" in key:
        raise ValueError("holds an address, where the value itself belongs")
    return key


def _refuse_placeholder(text: str) -> None:
    if _PLACEHOLDER.fullmatch(text):
        raise ValueError("holds a placeholder, where the value itself belongs")


def path(value: object) -> object:
    """A path without quotation marks around it. Raises `ValueError` where a part of it is a variable."""
    if not isinstance(value, str):
        return value
    text = unquoted(value.strip())
    if _VARIABLE.search(text) or _IN_A_PATH.search(text) or _PLACEHOLDER.fullmatch(text):
        raise ValueError(
            "holds a variable in whose place nobody has put a value: write the whole path, with ~ for the home folder"
        )
    return text


def address(value: object) -> object:
    """An address without quotation marks and spaces around it. Raises `ValueError` for what is none."""
    if not isinstance(value, str):
        return value
    url = unquoted(value.strip())
    _refuse_placeholder(url)
    try:
        parts = urlsplit(url)
    except ValueError:  # its words repeat what was given, with a password that may be in it
        raise ValueError("must be a web address such as " + API_ADDRESS) from None
    if _VARIABLE.search(url) or set("$%<>") & set(parts.netloc.rpartition("@")[2]):
        raise ValueError("holds a placeholder that nobody has filled in")
    if "://" not in url:
        raise ValueError(f"must be a web address such as {API_ADDRESS}, with https:// in front")
    if not url.isprintable() or " " in url:
        raise ValueError("must have no space or line break in it")
    try:
        has_odd_port = parts.port == 0
    except ValueError:  # the same
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
