"""A company's network: hosts that only a real squid can reach, with and without a CA of its own."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from support.certificates import Authority
from support.programs import program

CORE, LOGIN, KEYS, FORBIDDEN = (f"{name}.patchworks.test" for name in ("core", "app", "keys", "forbidden"))
"""Names that only squid knows: of Patchworks, its login, a key server, and one that squid refuses."""

USER, PASSWORD = "clerk", "hush#hush-7"

HELPERS = Path("/usr/lib/squid")

START_SECONDS = 20.0

_CHECK_PASSWORD = f"""
while read -r line; do
    case "$line" in
        "{USER} {PASSWORD}" | "{USER} {PASSWORD.replace("#", "%23")}") echo OK ;;
        *) echo ERR ;;
    esac
done
"""
"""For a shell, as squid may run as a user for whom this Python is out of reach."""

_CONFIGURATION = """
http_port 127.0.0.1:{open} name=open
http_port 127.0.0.1:{locked} name=locked
http_port 127.0.0.1:{opening} name=opening ssl-bump tls-cert={ca} generate-host-certificates=on
sslcrtd_program {helpers}/security_file_certgen -s {folder}/certificates -M 4MB
sslcrtd_children 1
ssl_bump bump all
tls_outgoing_options cafile={trusted}
hosts_file {folder}/hosts
auth_param basic program /bin/sh {folder}/check_password.sh
auth_param basic children 1
acl wants_password myportname locked
acl known proxy_auth REQUIRED
acl forbidden dstdomain {forbidden}
http_access deny forbidden
http_access deny wants_password !known
http_access allow all
access_log stdio:{folder}/access.log
cache_log {folder}/cache.log
pid_filename none
coredump_dir {folder}
cache deny all
pinger_enable off
visible_hostname proxy.test
shutdown_lifetime 0 seconds
connect_timeout 5 seconds
"""


@dataclass
class Squid:
    """Addresses of one squid: `open` to all, `locked` without a password, and `opening` what is encrypted."""

    folder: Path
    open: str
    locked: str
    opening: str
    origin: Authority
    """Who vouches for the hosts behind it."""
    own: Authority
    """Who vouches for what it opens."""

    def log(self) -> str:
        """The requests that went through it, a line each."""
        return (self.folder / "access.log").read_text(encoding="utf-8")


@contextmanager
def running_squid() -> Iterator[Squid]:
    """A squid on free ports; where CI is set it has to be there."""
    found = program("squid", package="squid-openssl", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    # Not pytest's folder: where root starts it, squid becomes a user who may not enter there.
    with tempfile.TemporaryDirectory() as name, _ports(3) as ports:
        squid = _prepared(Path(name), ports)
        process = subprocess.Popen([found, "-N", "-f", f"{name}/squid.conf"], stderr=subprocess.DEVNULL)  # noqa: S603 - found above
        try:
            _wait_for(ports, process)
            yield squid
        finally:
            process.terminate()
            process.wait()


def _prepared(folder: Path, ports: list[int]) -> Squid:
    origin, own = Authority(folder, "origin"), Authority(folder, "own")
    (folder / "hosts").write_text(f"127.0.0.1 {CORE} {LOGIN} {KEYS} {FORBIDDEN}\n", encoding="utf-8")
    (folder / "check_password.sh").write_text(_CHECK_PASSWORD, encoding="utf-8")
    known = {
        **dict(zip(("open", "locked", "opening"), ports, strict=True)),
        "ca": own.path_with_key,
        "trusted": origin.path,
        "folder": folder,
        "helpers": HELPERS,
        "forbidden": FORBIDDEN,
    }
    (folder / "squid.conf").write_text(_CONFIGURATION.format(**known), encoding="utf-8")
    made = [str(HELPERS / "security_file_certgen"), "-c", "-s", str(folder / "certificates"), "-M", "4MB"]
    subprocess.run(made, check=True, capture_output=True)  # noqa: S603 - squid's own
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, "proxy")
    first, second, third = (f"http://127.0.0.1:{port}" for port in ports)
    return Squid(folder, first, second, third, origin, own)


@contextmanager
def _ports(count: int) -> Iterator[list[int]]:
    """Ports that were free a moment ago."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    yield ports


def _wait_for(ports: list[int], process: "subprocess.Popen[bytes]") -> None:
    ends = time.monotonic() + START_SECONDS
    for port in ports:
        while process.poll() is None and time.monotonic() < ends:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
    assert process.poll() is None, "squid ended"
    assert time.monotonic() < ends, "squid did not start in time"
