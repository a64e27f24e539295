"""`python3 server COMMAND`, from a clone: installs what the command needs beside it, and runs it.

`tests` are this project's own; every other command, and every flag, is one of `patchworks-deployments-mcp`. Nothing is
installed but into `.uv` and `.venv` of the clone, so it makes no difference who else manages this Python's packages.
It runs on each Python that somebody may have, if only to say that it is too old.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OWN_UV = ROOT / ".uv"
IS_WINDOWS = os.name == "nt"

# An environment that is active is somebody else's, and what these say holds for other projects, or for none.
FOR_OTHERS = (
    "VIRTUAL_ENV", "PIP_PREFIX", "PIP_ROOT", "PIP_TARGET", "PIP_USER", "UV_FROZEN", "UV_LOCKED", "UV_NO_PROJECT",
    "UV_NO_SYNC", "UV_PROJECT", "UV_PROJECT_ENVIRONMENT",
)  # fmt: skip


def main() -> None:
    """Run the command, and end as it ends."""
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever has an older one is told so
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"This needs Python 3.11 or newer, and {sys.executable} is Python {found}. Nothing was installed.")
    for name in FOR_OTHERS:
        os.environ.pop(name, None)
    try:
        uv = _uv()
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        sys.exit(f"Nothing can be installed into {ROOT} ({error.strerror}): put the clone where you may write.")
    if sys.argv[1:2] == ["tests"]:
        command = [uv, "run", "--directory", str(ROOT), "--python", sys.executable, "pytest", *sys.argv[2:]]
    else:
        ours = ["patchworks-deployments-mcp", *sys.argv[1:]]
        command = [uv, "run", "--project", str(ROOT), "--python", sys.executable, "--no-dev", *ours]
    if not IS_WINDOWS:
        os.execv(uv, command)  # noqa: S606 - uv, which a signal to this process shall reach
    try:
        sys.exit(subprocess.call(command))  # noqa: S603 - the same
    except KeyboardInterrupt:  # the command has heard of it, too
        sys.exit(130)


def _uv() -> str:
    """The path of a uv that works; installs one where there is none."""
    own = OWN_UV / ("Scripts/uv.exe" if IS_WINDOWS else "bin/uv")
    if _works(own):
        return str(own)
    if not find_spec("pip"):
        return shutil.which("uv") or sys.exit(
            f"{sys.executable} has no pip. Install it (on Debian and Ubuntu: sudo apt install python3-pip), or install "
            "uv. Nothing was installed."
        )
    _tell("Installing what this needs, into .uv and .venv of this folder alone: about half a minute, once.")
    # In a folder of its own until it is whole: another first run may be at it too, and this one be interrupted.
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".uv-", ignore_cleanup_errors=True) as made:
        venv.create(made)
        # pip installs into another environment than its own: not even a Python that has others manage its packages
        # objects. stdout may be a host's, which expects messages there and nothing else.
        install = [sys.executable, "-m", "pip", "--python", made, "install", "--quiet", "uv"]
        failed = subprocess.call([*install, "--disable-pip-version-check"], stdout=sys.stderr)  # noqa: S603 - this Python
        if not failed and not _put(made) and not _works(own):
            shutil.rmtree(OWN_UV, ignore_errors=True)  # half of one
            _put(made)
    if failed or not _works(own):
        sys.exit(
            "uv could not be installed, for the reason above. Behind a company's proxy set HTTPS_PROXY, and PIP_CERT "
            "and SSL_CERT_FILE to its certificate, then run this again."
        )
    return str(own)


def _put(made: str) -> bool:
    """Whether what was made is in its place now; not where something is there already."""
    try:
        Path(made).rename(OWN_UV)
    except OSError:
        return False
    return True


def _works(uv: Path) -> bool:
    """Whether it is there and runs: an installation may have been interrupted."""
    try:
        return not subprocess.call([str(uv), "--version"], stdout=subprocess.DEVNULL)  # noqa: S603 - uv
    except OSError:
        return False


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
