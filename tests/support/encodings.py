"""The ways in which a text can come back from somebody who was sent it."""

import base64
import html
import json
from collections.abc import Callable, Mapping
from urllib.parse import quote, quote_plus

Encoding = Callable[[str], str]


def _in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


ENCODINGS: Mapping[str, Encoding] = {
    "plain": lambda text: text,
    "upper case": str.upper,
    "URL": lambda text: quote(text, safe=""),
    "form": quote_plus,
    "every letter of a URL": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "URL twice": lambda text: quote(quote(text, safe=""), safe=""),
    "HTML": html.escape,
    "HTML numbers": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "HTML hex": lambda text: "".join(f"&#x{ord(char):X};" for char in text),
    "JSON": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON numbers": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "program": lambda text: "".join(f"\\x{ord(char):02x}" for char in text),
    "base64": _in_base64,
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64, second byte": lambda text: _in_base64(f"u{text}"),
    "base64, third byte": lambda text: _in_base64(f"u:{text}"),
    "base64 in a URL": lambda text: quote(_in_base64(text), safe=""),
    "base64 in JSON": lambda text: _in_base64(json.dumps({"key": text})),
    "hex": lambda text: text.encode().hex(),
    "wide": lambda text: "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text),
    "torn by what nobody sees": "\u200b".join,
    "torn by null": "\x00".join,
}
