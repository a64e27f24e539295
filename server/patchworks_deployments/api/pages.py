"""What answers in place of the Patchworks Core API: redirects, and pages of proxies, firewalls and gateways."""

import html
import re

import httpx2

from patchworks_deployments.api.scrubbing import Scrubber
from patchworks_deployments.errors import Unavailable, UnexpectedResponse, Unreachable, UpstreamError
from patchworks_deployments.model.text import inert
from patchworks_deployments.model.tokens import without_tokens
from patchworks_deployments.network.causes import CHECK_PASSWORD
from patchworks_deployments.network.routes import TRACE, Passage

MAX_TITLE_CHARACTERS = 100
MAX_KIND_CHARACTERS = 40

_HEAD_BYTES = 64 * 1024
"""Bytes of a page in which its title is looked for."""

_MAX_HOST_CHARACTERS = 100
_TITLE = re.compile(r"<title\b[^>]{0,200}>(.{0,1000}?)</title", re.IGNORECASE | re.DOTALL)
_HTML = re.compile(rb"\s*<(!doctype html|html|head|body|\?xml)", re.IGNORECASE)


def quoted(text: str, limit: int) -> str:
    """Text of an answer, safe to be shown within quotation marks."""
    return inert(without_tokens(text, limit) or "", limit)


_IN_ITS_PLACE = (
    "Check that PATCHWORKS_BASE_URL points at the Patchworks Core API; if it does, a proxy, a firewall or a login page "
    "answers in its place, and a person must have it let this server pass."
)


def is_foreign(answer: httpx2.Response) -> bool:
    """Whether a login's answer is none of Patchworks', but a redirect, a page, or a proxy's."""
    is_page = bool(answer.content) and answer.content.lstrip()[:1] not in {b"{", b"["}
    return is_page or answer.has_redirect_location or answer.status_code == httpx2.codes.PROXY_AUTHENTICATION_REQUIRED


def stranger(response: httpx2.Response, own: Scrubber) -> UpstreamError:
    """Our error for an answer that is not the API's: whoever gave it may have passed the request on."""
    status = response.status_code
    if status == httpx2.codes.PROXY_AUTHENTICATION_REQUIRED:
        what = f"A proxy does not pass the request on without the right user name and password (407){_way(response)}."
        return Unreachable(what, next_step=CHECK_PASSWORD, is_lasting=True)
    if response.has_redirect_location:
        where = f"with a redirect ({status}) {_target(response, own)}{_way(response)}, which is not followed"
        return UnexpectedResponse(f"Something answered {where}.", next_step=_IN_ITS_PLACE)
    body = _described(response, own) + _way(response)
    if response.is_success and "web page" not in body:
        return UnexpectedResponse(f"Patchworks answered {status} with {body}.")
    what = f"Something answered {status} that is not the Patchworks Core API: {body}."
    if not response.is_server_error:
        return UnexpectedResponse(what, next_step=_IN_ITS_PLACE)
    error = Unavailable(what, status=status)
    error.may_still_arrive = True
    return error


def _described(response: httpx2.Response, own: Scrubber) -> str:
    """A body that is not the API's JSON, in words: what it is, its title, and who says that it answered."""
    if not response.content:
        return "nothing"
    kind = _shown(response.headers.get("Content-Type", "").partition(";")[0].strip(), MAX_KIND_CHARACTERS, own)
    head = response.content[:_HEAD_BYTES]
    is_page = "html" in kind.lower() or _HTML.match(head)
    words = "a web page" if is_page else f"a body that is not JSON ({kind or 'no content type'})"
    found = _TITLE.search(head.decode("utf-8", "replace")) if is_page else None
    if found and (title := _shown(html.unescape(found[1]), MAX_TITLE_CHARACTERS, own)):
        words += f' titled "{title}"'
    server = _shown(response.headers.get("Server", ""), MAX_KIND_CHARACTERS, own)
    return words + (f" (server: {server})" if server else "")


def _target(response: httpx2.Response, own: Scrubber) -> str:
    """Where a redirect leads: its host alone, as the rest may hold what was asked."""
    asked = response.request.url
    try:
        url = asked.join(response.headers["Location"])
    except (httpx2.InvalidURL, ValueError):
        return "to an address that is none"
    if url.host != asked.host:
        return f"to the host {_shown(url.host, _MAX_HOST_CHARACTERS, own) or 'that it does not name'}"
    return "to https" if (asked.scheme, url.scheme) == ("http", "https") else "to another page of the same host"


def _way(response: httpx2.Response) -> str:
    """The proxy in between, in words; nothing where there is none."""
    passage = response.request.extensions.get(TRACE)
    return f", through the proxy {passage.proxy}" if isinstance(passage, Passage) and passage.proxy else ""


def _shown(text: str, limit: int, own: Scrubber) -> str:
    return quoted(own.scrub_text(text), limit)
