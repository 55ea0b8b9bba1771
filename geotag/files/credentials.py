"""Credentials in addresses: the one list of what they are called, and how texts lose them."""

from __future__ import annotations

import re
from urllib.parse import unquote

_HIDDEN = "***"
# An address in a text, behind its scheme and up to what cannot be in one; that of a path lost one
# of its slashes.
_ADDRESS = re.compile(r"(?<=[A-Za-z0-9+.-]):/[^\s<>\"]+")
# User and password, or a port that is no number: a password with a slash or the like in it.
_USER = re.compile(r":(//?)(?:[^/?#]*@|[^/?#\[\]@:]+:(?!\d{0,5}(?:[/?#]|$))(?:.*@)?)")
_QUERY = re.compile(r"[?#;].*", re.DOTALL)
_PARAMETER = re.compile(r"([?&;#])([^=&;#]*)=([^&;#]*)")
# Parts of parameters' names, without what separates words. AWS's, Google's, Azure's, Alibaba's and
# Tencent's signatures, OAuth, web frameworks' sessions.
_SECRET_PARTS = re.compile(
    "token|secret|passw|passphrase|pwd|credential|signature|apikey|accesskey|accessid|privatekey|"
    "keypairid|(?:user|app|client|account|shared|storage|master|license|resource)key|auth(?!or)|authoriz|sess(?:ion|id)|bearer|jwt|saml|assertion|hmac|hdnea|hdnts|rlkey|"
    "cookie|csrf|xsrf|passkey|passcode|kennwort|schl(?:ue|ü)ssel|motdepasse|contrase|senha|wachtwoord|"
    "^x(?:amz|goog|oss|cos)|^qsign|^qak$"
)
_SECRET_WORDS = frozenset(
    "key keys sig sign auth pass pw sas sid otp pin ticket ak sk "
    "cred creds psk sso tk wskey".split()
)
# Names that mean something else as often (?code=FR): secret with a value that nobody would guess.
_SECRET_IF_LONG = frozenset(
    "code md5 sha1 sha256 hash digest st oh share invite nonce "
    "mac verify refresh magic login".split()
)
_LONG = 16
_BETWEEN_WORDS = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z])(?=[A-Z])")
# Values that tell by themselves: a JSON web token, a key id of AWS, a bot's token of Telegram.
_SECRET_VALUES = re.compile(
    r"eyJ[\w-]{8,}(?:\.[\w-]+)+|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|(?<=/bot)\d+:[\w-]{30,}"
)


def redacted(text: str) -> str:
    """A text without the credentials of the addresses in it."""
    return _ADDRESS.sub(lambda found: _without(found[0]), text)


def has_credentials(address: str) -> bool:
    """Whether an address holds a user, a password, a key or a signature."""
    return "://" in address and _without(address) != address


def _without(address: str) -> str:
    address = _USER.sub(rf":\1{_HIDDEN}@", address, count=1)
    address = _QUERY.sub(lambda found: _PARAMETER.sub(_parameter, found[0]), address, count=1)
    return _SECRET_VALUES.sub(_HIDDEN, address)


def _parameter(found: re.Match[str]) -> str:
    before, name, value = found.groups()
    hidden = value and (_is_secret(unquote(unquote(name)), len(value)) or _hides_address(value))
    return f"{before}{name}={_HIDDEN if hidden else value}"


def _is_secret(name: str, length: int) -> bool:
    words = _BETWEEN_WORDS.sub(" ", name).lower().split()
    telling = _SECRET_WORDS if length < _LONG else _SECRET_WORDS | _SECRET_IF_LONG
    return bool(_SECRET_PARTS.search("".join(words))) or not telling.isdisjoint(words)


def _hides_address(value: str) -> bool:
    """Whether a value is an address, or what was one, with credentials of its own."""
    inner = unquote(value)
    return redacted(inner) != inner
