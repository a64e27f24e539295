"""What answers in place of the Patchworks Core API: redirects, and pages of proxies, firewalls and gateways."""

import codecs
import html
import re

import httpx2

from patchworks_deployments.api.scrubbing import Scrubber
from patchworks_deployments.errors import Unavailable, UnexpectedResponse, Unreachable, UpstreamError
from patchworks_deployments.model.text import inert
from patchworks_deployments.model.tokens import without_tokens
from patchworks_deployments.network.causes import check_password
from patchworks_deployments.network.routes import passage_of

MAX_TITLE_CHARACTERS = 100
MAX_KIND_CHARACTERS = 40

_HEAD_BYTES = 16 * 1024
"""Bytes of a page that are looked at; its title stands near its beginning."""

_MAX_HOST_CHARACTERS = 100
_TITLE = re.compile(r"<title\b[^>]{0,200}>(.{0,1000}?)</title", re.IGNORECASE | re.DOTALL)
_HTML = re.compile(rb"\s*<(!doctype html|html|head|body|\?xml)", re.IGNORECASE)


IN_ITS_PLACE = (
    "Check that PATCHWORKS_BASE_URL points at the Patchworks Core API; if it does, a proxy, a firewall or a login page "
    "answers in its place, and a person must have it let this server pass."
)


def quoted(text: str, limit: int) -> str:
    """Text of an answer, safe to be shown within quotation marks."""
    return inert(without_tokens(text, limit) or "", limit)


def leads_elsewhere(response: httpx2.Response) -> bool:
    """Whether the status alone says that the API has not answered: a redirect, or a proxy that wants a password."""
    return response.has_redirect_location or response.status_code == httpx2.codes.PROXY_AUTHENTICATION_REQUIRED


def is_no_json(response: httpx2.Response) -> bool:
    """Whether the body is plainly none of the API's, such as a page."""
    begins = response.content[:_HEAD_BYTES].removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    return begins not in {b"", b"{", b"["}


def stranger(response: httpx2.Response, own: Scrubber, retry_after: float | None = None) -> UpstreamError:
    """Our error for an answer that is not the API's: whoever gave it may have passed the request on.

    `retry_after` is in seconds, where the answer says when to ask again.
    """
    status, way = response.status_code, _way(response)
    if status == httpx2.codes.PROXY_AUTHENTICATION_REQUIRED:
        what = f"A proxy does not pass the request on without the right user name and password (407){way}."
        return Unreachable(what, next_step=check_password(passage_of(response.request)), is_lasting=True)
    if response.has_redirect_location:
        what = f"Something answered with a redirect ({status}) {_target(response, own)}{way}, which is not followed."
        return UnexpectedResponse(what, next_step=IN_ITS_PLACE)
    if response.is_success and not _is_page(response):
        return UnexpectedResponse(f"Patchworks answered {status} with {_described(response, own)}{way}.")
    what = f"Something answered {status} that is not the Patchworks Core API: {_described(response, own)}{way}."
    if not response.is_server_error:
        return UnexpectedResponse(what, next_step=IN_ITS_PLACE)
    error = Unavailable(what, status=status, retry_after=retry_after)
    error.may_still_arrive = True
    return error


def _described(response: httpx2.Response, own: Scrubber) -> str:
    """A body that is not the API's JSON, in words: what it is, its title, and who says that it answered."""
    if not response.content:
        return "nothing"
    server = _shown(response.headers.get("Server", ""), MAX_KIND_CHARACTERS, own)
    by = f" (server: {server})" if server else ""
    if not _is_page(response):
        kind = response.headers.get("Content-Type", "no content type").partition(";")[0]
        return f"a body that is not JSON ({_shown(kind, MAX_KIND_CHARACTERS, own)}){by}"
    found = _TITLE.search(response.content[:_HEAD_BYTES].decode("utf-8", "replace"))
    title = _shown(html.unescape(found[1]), MAX_TITLE_CHARACTERS, own) if found else ""
    titled = f' titled "{title}"' if title else ""
    return f"a web page{titled}{by}"


def _is_page(response: httpx2.Response) -> bool:
    is_said = "html" in response.headers.get("Content-Type", "").lower()
    return bool(response.content) and (is_said or bool(_HTML.match(response.content[:_HEAD_BYTES])))


def _target(response: httpx2.Response, own: Scrubber) -> str:
    """Where a redirect leads: its host alone, as the rest may hold what was asked."""
    asked = response.request.url
    try:
        url = asked.join(response.headers["Location"])
    except (httpx2.InvalidURL, ValueError):
        return "to an address that is none"
    if url.host != asked.host:
        return f"to the host {_shown(url.host, _MAX_HOST_CHARACTERS, own) or 'that it does not name'}"
    return (
        "to the same host with https"
        if (asked.scheme, url.scheme) == ("http", "https")
        else "to another page of the same host"
    )


def _way(response: httpx2.Response) -> str:
    """The proxy in between, in words; nothing where there is none."""
    passage = passage_of(response.request)
    return f", through the proxy {passage.proxy}" if passage and passage.proxy else ""


def _shown(text: str, limit: int, own: Scrubber) -> str:
    return quoted(own.scrub_text(text), limit)
