"""Programs for Node, in `tests/node/`, with the packages that its lock names."""

import fcntl
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio

from support.processes import ROOT
from support.programs import program

FOLDER = ROOT / "tests" / "node"


def install() -> None:
    """Install the packages, unless they are there as the lock names them; of several test processes one does."""
    npm = program("npm")
    lock, done = FOLDER / "package-lock.json", FOLDER / "node_modules" / ".package-lock.json"
    with lock.open(encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not done.exists() or done.stat().st_mtime < lock.stat().st_mtime:
            subprocess.run([npm, "ci", "--silent"], cwd=FOLDER, check=True)  # noqa: S603 - found above
            done.touch()


@contextmanager
def authorization_server(end: str = "") -> Iterator[str]:
    """One that registers any client; yields its issuer, which ends in `end`."""
    process = subprocess.Popen(  # noqa: S603 - found above
        [program("node"), "authorization_server.mjs", end],
        cwd=FOLDER,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout
    try:
        issuer = process.stdout.readlines(1)[-1].strip()
        assert issuer.startswith("http"), "the authorization server did not start"
        yield issuer
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


async def run(script: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """The script's outcome."""
    return await anyio.run_process([program("node"), script, *arguments], cwd=FOLDER, check=False)


async def printed(script: str, *arguments: str) -> Any:
    """The JSON that the script prints."""
    outcome = await run(script, *arguments)
    assert outcome.returncode == 0, outcome.stderr.decode()
    return json.loads(outcome.stdout)


def bundled(script: str, into: Path) -> None:
    """The script and what it imports as one file for browsers."""
    esbuild = FOLDER / "node_modules" / ".bin" / "esbuild"
    command = [str(esbuild), script, "--bundle", "--format=esm", "--log-level=warning", f"--outfile={into}"]
    subprocess.run(command, cwd=FOLDER, check=True)  # noqa: S603 - installed as the lock names it
