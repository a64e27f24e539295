"""The addresses of the API's operations."""

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from patchworks_deployments.errors import InvalidArgument

MAX_URL_CHARACTERS = 8_000
"""Characters of an address: what web servers take by default, a method and a version beside it."""

LISTING = "/api/v1/flow-version-deployments"


def deployments(flow_version_id: str) -> str:
    """The path of a flow version's deployments."""
    return f"/api/v1/flow-versions/{_segment(flow_version_id)}/deployments"


def deployment(flow_version_id: str, deployment_id: str) -> str:
    """The path of one of them."""
    return f"{deployments(flow_version_id)}/{_segment(deployment_id)}"


_IDS = re.compile(r"/flow-versions/([^/]+)/deployments(?:/([^/]+))?")


def ids_of(path: str) -> tuple[str | None, str | None]:
    """The ids of the flow version and the deployment that a path names, None for each that it does not."""
    found = _IDS.search(path)
    return (found[1], found[2]) if found else (None, None)


def _segment(identifier: str) -> str:
    """Percent-encode every character with a meaning in a path; `quote` takes the dot and the tilde for harmless."""
    return quote(identifier, safe="").replace(".", "%2E").replace("~", "%7E")


def url_of(path: str, params: Mapping[str, str]) -> str:
    """The path with its parameters. Raises `InvalidArgument` where that is longer than `MAX_URL_CHARACTERS`."""
    url = f"{path}?{urlencode(params)}" if params else path
    if len(url) > MAX_URL_CHARACTERS:
        raise InvalidArgument(
            f"The filters are too long: they make an address of {len(url)} characters, and at most "
            f"{MAX_URL_CHARACTERS} are sent.",
            next_step="Give fewer or shorter values at a time.",
        )
    return url
