"""Links that open a host and ask it to add this server, as docs/connecting.md has them."""

import base64
import json
from urllib.parse import quote

from patchworks_deployments.hosts.entry import Entry
from patchworks_deployments.hosts.rows import HOSTS, input_for


def cursor(entry: Entry) -> str:
    """Cursor's: cursor.com/docs/mcp/install-links."""
    config = base64.b64encode(_compact(HOSTS["cursor"].form(entry)).encode()).decode()
    return f"cursor://anysphere.cursor-deeplink/mcp/install?name={quote(entry.name)}&config={quote(config)}"


def vscode(entry: Entry, *, scheme: str = "vscode") -> str:
    """VS Code's: code.visualstudio.com/api/extension-guides/ai/mcp; `vscode-insiders` is the other scheme."""
    asked = {"inputs": [input_for(entry.secret)]} if entry.secret else {}
    return f"{scheme}:mcp/install?" + quote(
        _compact({"name": entry.name, **HOSTS["vscode"].form(entry), **asked}), safe=""
    )


def through_the_web(link: str) -> str:
    """The same for pages that allow only links of the web, as GitHub's do: VS Code's own site leads on to it."""
    return "https://insiders.vscode.dev/redirect?url=" + quote(link, safe="")


def _compact(data: object) -> str:
    return json.dumps(data, separators=(",", ":"))
