"""The kinds of values that settings have, each with what people may write for it."""

import csv
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from patchworks_deployments.settings import keys, pasted


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _split_names(value: object) -> object:
    """Comma-separated names; one that holds a comma stands in double quotes, as in CSV."""
    if not isinstance(value, str):
        return value
    pasted.refuse_variables(value)
    try:
        names = [name.strip() for row in csv.reader([value], skipinitialspace=True, strict=True) for name in row]
    except csv.Error:
        raise ValueError('must be comma-separated, and what holds a comma in "double quotes"') from None
    if value.strip() and not any(names):  # as what protects nothing would be taken for a protection
        raise ValueError("names nothing: write a name or an id, or leave it out")
    return [name for name in names if name]


def _web_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be a web address such as " + pasted.API_ADDRESS)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must have no user name, password, query or fragment")
    return url


def _words(value: object) -> object:
    return value.replace(",", " ").split() if isinstance(value, str) else value


def _at_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("begins with ~, and this machine does not know whose home folder that is") from None


Secret = Annotated[SecretStr, AfterValidator(pasted.one_line)]
HeaderSecret = Annotated[Secret, AfterValidator(pasted.fits_a_header)]
StateKeys = Annotated[tuple[Secret, ...], NoDecode, BeforeValidator(_split), AfterValidator(keys.long_enough)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_names)]
Issuer = Annotated[str, BeforeValidator(pasted.address), AfterValidator(_web_address)]
"""Compared letter by letter, so a slash at its end stays."""

WebAddress = Annotated[Issuer, AfterValidator(lambda url: url.rstrip("/"))]
ApiAddress = Annotated[WebAddress, AfterValidator(pasted.address_of_api)]
LoginAddress = Annotated[WebAddress, AfterValidator(pasted.address_of_login)]
Scope = Annotated[str, Field(pattern=r"^[!#-\[\]-~]+$")]
Scopes = Annotated[tuple[Scope, ...], NoDecode, BeforeValidator(_words)]
HomePath = Annotated[Path, BeforeValidator(pasted.path), AfterValidator(_at_home)]
"""A path that may begin with `~`, which hosts do not expand for the servers that they start."""
