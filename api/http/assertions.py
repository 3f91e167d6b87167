"""`private_key_jwt`: a client's signed assertion becomes a bearer token of five minutes (RFC 7523, RFC 6749 §4.4)."""

import hashlib
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from api.client_keys import KeyKind, verifying_key
from api.clients import AssertionRepeated, Caller, caller_by_key, take_assertion
from personalization.errors import EngineError
from personalization.store.database import Database

TOKEN_LIFETIME = timedelta(minutes=5)
LONGEST_ASSERTION = timedelta(minutes=5)
CLOCK_SKEW = timedelta(seconds=30)
LONGEST_JTI = 200
LONGEST_TOKEN_CHARACTERS = 100
ALGORITHMS = ("ES256", "ES384", "PS256", "EdDSA")
BIGGEST_NUMERIC_DATE = 253402300799  # 9999-12-31T23:59:59Z


class AssertionRefused(EngineError):
    """The assertion proves nothing; the sentence says at which step, for the log alone."""


def verify_assertion(database: Database, assertion: str, audiences: frozenset[str], now: datetime) -> Caller:
    """Who has signed this assertion; it is taken once. Raises `AssertionRefused`, `StoreUnavailable`."""
    # 1. The header names the key; of the algorithm it is only read that it is the key's own.
    try:
        header = jwt.get_unverified_header(assertion)
    except jwt.PyJWTError:
        raise AssertionRefused("1: not a JWT") from None
    kid, algorithm = header.get("kid"), header.get("alg")
    if not isinstance(kid, str) or not 0 < len(kid) <= 64 or "crit" in header or algorithm not in ALGORITHMS:
        raise AssertionRefused("1: no kid, or an algorithm that is not taken")
    # 2. The key is registered for this use, and neither it nor its client is revoked.
    found = caller_by_key(database, kid, KeyKind.JWT)
    if found is None:
        raise AssertionRefused("2: no such key")
    caller, public = found
    key, own_algorithm = verifying_key(public)
    if algorithm != own_algorithm:
        raise AssertionRefused("2: the key is for another algorithm")
    # 3. The signature holds.
    try:
        claims = jwt.decode(assertion, key, algorithms=[own_algorithm], options=SIGNATURE_ALONE)
    except (jwt.PyJWTError, ValueError):
        raise AssertionRefused("3: the signature does not verify") from None
    # 4. The claims say who, to whom and until when (RFC 7523 §3).
    expires_at = _check_claims(claims, caller, audiences, now)
    # 5. It was not taken before.
    jti = hashlib.sha256(claims["jti"].encode("utf-8", "surrogatepass")).hexdigest()
    try:
        take_assertion(database, caller.client_id, jti, expires_at + 2 * CLOCK_SKEW, now)
    except AssertionRepeated:
        raise AssertionRefused("5: it was taken before") from None
    return caller


# The claims are checked below, by our own clock.
SIGNATURE_ALONE: Any = {
    f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")
} | {"verify_signature": True}  # fmt: skip


def _check_claims(claims: Mapping[str, Any], caller: Caller, audiences: frozenset[str], now: datetime) -> datetime:
    # §3, 1 and 2: issuer and subject are the client.
    if claims.get("iss") != caller.client_id or claims.get("sub") != caller.client_id:
        raise AssertionRefused("4: iss and sub are not the key's client")
    # §3, 3: the audience is this server.
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(each, str) and each in audiences for each in named):
        raise AssertionRefused("4: aud is not this server")
    # §3, 4: it expires, and soon.
    expires_at = _instant(claims, "exp")
    if expires_at is None or not now - CLOCK_SKEW < expires_at <= now + LONGEST_ASSERTION + CLOCK_SKEW:
        raise AssertionRefused("4: exp is past, or more than five minutes ahead")
    # §3, 5 and 6: not from the future.
    for claim in ("nbf", "iat"):
        begins_at = _instant(claims, claim)
        if claim in claims and (begins_at is None or begins_at > now + CLOCK_SKEW):
            raise AssertionRefused(f"4: {claim} is in the future")
    # §3, 7: it has a name of its own.
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= LONGEST_JTI:
        raise AssertionRefused("4: no jti")
    return expires_at


def _instant(claims: Mapping[str, Any], claim: str) -> datetime | None:
    value = claims.get(claim)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= BIGGEST_NUMERIC_DATE:
        return None
    return datetime.fromtimestamp(value, UTC)


@dataclass(frozen=True, slots=True)
class _Issued:
    kid: str
    expires_at: datetime


class Tokens:
    """The bearer tokens of this process: only their hashes are kept, and only in memory."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._issued: dict[bytes, _Issued] = {}
        self._lock = threading.Lock()

    def issue(self, caller: Caller) -> str:
        """A new token for a caller."""
        token = secrets.token_urlsafe(32)
        now = self._clock()
        with self._lock:
            for old in [digest for digest, issued in self._issued.items() if issued.expires_at <= now]:
                del self._issued[old]
            self._issued[_digest(token)] = _Issued(caller.kid, now + TOKEN_LIFETIME)
        return token

    def kid_of(self, token: str) -> str | None:
        """By which key this token was had; None where it is unknown or over."""
        if len(token) > LONGEST_TOKEN_CHARACTERS:
            return None
        with self._lock:
            issued = self._issued.get(_digest(token))
        return issued.kid if issued is not None and self._clock() < issued.expires_at else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
