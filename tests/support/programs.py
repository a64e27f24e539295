"""The programs of others that tests start."""

import os
import shutil

import pytest


def program(*names: str, package: str = "", path: str | None = None) -> str:
    """The first of these programs that is installed; without any the test is skipped, or fails where CI is set.

    `package` brings it, where that has another name; it is looked for in `path`, by default the environment's.
    """
    found = next(filter(None, (shutil.which(name, path=path) for name in names)), None)
    wanted = package or names[0]
    if found is None and not os.environ.get("CI"):
        pytest.skip(f"{wanted} is not installed")
    assert found, f"{wanted} is not installed: .ci/run installs it"
    return found
