"""How often the garbage collector works."""

import json
import subprocess
import sys


def test_the_slow_start_is_hardly_interrupted() -> None:
    """What is imported stays, so looking through it for garbage would only cost time."""
    script = (
        "import gc, json, patchworks_deployments.__main__, patchworks_deployments.serving.server;"
        "print(json.dumps([each['collections'] for each in gc.get_stats()]))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603 - our own command
    assert sum(json.loads(ran.stdout)) < 50
