"""Why a connection could not be made, in words."""

import errno
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2

from patchworks_deployments.network.routes import Passage, passage_of, trusted_cas

CHECK_NETWORK = "Check the address and the network, then try again; where only a proxy leads out, set HTTPS_PROXY."
ALLOW_HOST = (
    "Whoever keeps the proxy must let this server pass; if the host is reached without a proxy, name it in NO_PROXY."
)

_WHY = {
    errno.ENETUNREACH: "no network leads there",
    errno.EHOSTUNREACH: "its host cannot be reached",
    errno.ECONNRESET: "it was broken off",
    errno.EACCES: "this machine does not allow it",
    errno.EPERM: "this machine does not allow it",
}
"""What the system says of a connection that could not be made, where it says more than that."""

_OUT_OF_DATE = {9, 10, 0x800B0101, -67818, -67819}
_OTHER_NAME = {62, 64, 0x800B010F, -67602}
"""What is wrong with a certificate, by the codes of OpenSSL, Windows and macOS; the others say that nobody trusted
vouches for it. Windows and macOS ask their own store, unless a variable names the CAs."""


@dataclass(frozen=True)
class Cause:
    """Why nothing was sent: a clause, what to do, and whether trying again at once is in vain."""

    what: str
    next_step: str
    is_lasting: bool = False


def cause_of(error: Exception, request: httpx2.Request) -> Cause | None:
    """Why there was no connection for the request; None where that is not known, or there was one."""
    passage = passage_of(request)
    if passage is None:
        return None
    if isinstance(error, httpx2.ProxyError):
        return _refusal(str(error)[:3], passage)
    return None if passage.is_connected else _of_connecting(error, passage)


def check_proxy(passage: Passage) -> str:
    """What to do about a proxy with which nothing is to be done."""
    return f"Check the proxy in {passage.proxy_setting}, or name the host in NO_PROXY if it is reached without a proxy."


def check_password(passage: Passage | None) -> str:
    """What to do about a proxy that wants to know who comes."""
    setting = passage.proxy_setting if passage and passage.proxy else "HTTPS_PROXY"
    return f"A person must check user name and password in {setting}: http://USER:PASSWORD@HOST:PORT."


def _refusal(status: str, passage: Passage) -> Cause:
    """What the proxy's answer means; its own words may repeat the password and are left out."""
    proxy = f"the proxy {passage.proxy}"
    match status:
        case "407":
            return Cause(f"{proxy} does not let this server in without the right user name and password (407)",
                         check_password(passage), is_lasting=True)  # fmt: skip
        case _ if status.startswith("5"):
            return Cause(f"{proxy} cannot reach {passage.host} ({status})", "Try again later.")
        case _ if status.isdigit():
            return Cause(f"{proxy} refuses the way to {passage.host} ({status})", ALLOW_HOST, is_lasting=True)
    return Cause(f"{proxy} makes no connection to {passage.host}", check_proxy(passage))


def _of_connecting(error: Exception, passage: Passage) -> Cause:
    place = f"the proxy {passage.proxy}" if passage.proxy else passage.host
    next_step = check_proxy(passage) if passage.proxy else CHECK_NETWORK
    if isinstance(error, httpx2.TimeoutException | TimeoutError):
        return Cause(f"{place} did not connect in time", next_step)
    for inner in _chain(error):
        if isinstance(inner, ssl.SSLCertVerificationError):
            return _of_certificate(inner, passage)
        if told := _told_by(inner, place, passage):
            return Cause(told, next_step)
    return Cause(f"no connection to {place} could be made", next_step)


def _told_by(error: BaseException, place: str, passage: Passage) -> str:
    """The clause for one error of the system or of TLS; nothing where it says no more than that it failed."""
    match error:
        case ssl.SSLError():
            whose = passage.host if passage.tls_host == passage.host else place
            return f"{whose} speaks no TLS that this server knows ({error.reason})"
        case socket.gaierror():
            return f"the name of {place} could not be found (DNS)"
        case ConnectionRefusedError():
            return f"{place} refused the connection"
        case OSError() if error.errno in _WHY:
            return f"no connection to {place} could be made: {_WHY[error.errno]}"
    return ""


def _of_certificate(error: ssl.SSLCertVerificationError, passage: Passage) -> Cause:
    through = f", through the proxy {passage.proxy}," if passage.proxy else ""
    whose = f"{passage.host}{through}" if passage.tls_host == passage.host else f"the proxy {passage.proxy}"
    match getattr(error, "verify_code", None):  # there is none where no certificate was shown
        case code if code in _OUT_OF_DATE:
            next_step = "Look whether this machine's clock is right; if it is, the certificate must be renewed."
        case code if code in _OTHER_NAME:
            next_step = "Check the address: something else answers there."
        case _:
            next_step = (
                f"Trusted are {trusted_cas()}. If the network here opens encrypted traffic, set SSL_CERT_FILE to a PEM "
                "file with the certificate of its CA."
            )
    why = getattr(error, "verify_message", "none was shown")
    return Cause(f"the certificate shown for {whose} is not trusted ({why})", next_step, is_lasting=True)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all that led to it."""
    inner: BaseException | None = error
    while inner:
        yield inner
        if isinstance(inner, BaseExceptionGroup):
            for one in inner.exceptions:
                yield from _chain(one)
        inner = inner.__cause__ or inner.__context__
