"""An authorization server: its keys, good tokens and bad ones."""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from typing import Any

import httpx2
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from support.team import READ, WRITE

ISSUER, AUDIENCE = "https://issuer.example", "https://mcp.example/mcp"


@dataclass
class Issuer:
    """An authorization server's keys: `jwks` is what it publishes, `down` makes it fail."""

    private: dict[str, rsa.RSAPrivateKey] = field(default_factory=dict)
    down: bool = False
    asked: int = 0

    def add_key(self, key_id: str) -> None:
        self.private[key_id] = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def jwks(self) -> dict[str, Any]:
        as_jwk = jwt.algorithms.RSAAlgorithm.to_jwk
        return {
            "keys": [{**as_jwk(key.public_key(), as_dict=True), "kid": key_id} for key_id, key in self.private.items()]
        }

    def __call__(self, _: httpx2.Request) -> httpx2.Response:
        self.asked += 1
        return httpx2.Response(503) if self.down else httpx2.Response(200, json=self.jwks())

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The same as an ASGI application."""
        self.asked += 1
        answer = Response(status_code=503) if self.down else JSONResponse(self.jwks())
        await answer(scope, receive, send)

    def token(self, key_id: str = "one", algorithm: str = "RS256", **claims: Any) -> str:
        """A good token, but for the claims given; None leaves one out."""
        now = int(time.time())
        good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": now + 300, "nbf": now - 10, "scope": READ}
        payload = {name: value for name, value in {**good, **claims}.items() if value is not None}
        return jwt.encode(payload, self.private[key_id], algorithm=algorithm, headers={"kid": key_id})


def unsigned(claims: dict[str, Any], header: dict[str, Any], secret: bytes | None = None) -> str:
    """A token that PyJWT itself would refuse to make."""

    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    signed = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    signature = hmac.new(secret, signed.encode(), hashlib.sha256).digest() if secret else b""
    return f"{signed}.{part(signature)}"


def bad_tokens(issuer: Issuer) -> dict[str, str]:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": now + 300, "scope": f"{READ} {WRITE}"}
    public = issuer.private["one"].public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    stranger = Issuer()
    stranger.add_key("one")
    return {
        "nothing": "",
        "no token": "not a token",
        "wrong issuer": issuer.token(iss="https://other.example"),
        "wrong audience": issuer.token(aud="https://other.example/mcp"),
        "no audience": issuer.token(aud=None),
        "no subject": issuer.token(sub=None),
        "no expiry": issuer.token(exp=None),
        "expired": issuer.token(exp=now - 60),
        "not yet valid": issuer.token(nbf=now + 60),
        "algorithm none": unsigned(claims, {"alg": "none", "kid": "one"}),
        "HS256 with the public key": unsigned(claims, {"alg": "HS256", "kid": "one"}, pem),
        "signed by a stranger": stranger.token(),
        "unknown key": unsigned(claims, {"alg": "RS256", "kid": "two"}),
        "tampered": issuer.token()[:-6] + "AAAAAA",
    }
