"""Objects far away: one dict of schemes to stores."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from urllib.parse import parse_qsl, urlsplit

from geotag.errors import MissingDependencyError, UsageError
from geotag.stores.base import Store, StoreError

# Names of query parameters that make a signed address.
_SECRET = ("signature", "x-amz-", "x-goog-", "sig", "token", "key", "secret", "password", "auth")


def _s3() -> Store:
    from geotag.stores.s3 import S3Store

    return S3Store()


def _generic(protocol: str) -> Callable[[], Store]:
    def build() -> Store:
        from geotag.stores.generic import GenericStore

        return GenericStore(protocol)

    return build


def _http() -> Store:
    from geotag.stores.http import HttpStore

    return HttpStore()


STORES: dict[str, Callable[[], Store]] = {
    "s3": _s3,
    "gs": _generic("gs"),
    "az": _generic("az"),
    "http": _http,
    "https": _http,
    "memory": _generic("memory"),
}
_EXTRAS = {"s3": "s3", "gs": "gcs", "az": "azure", "http": "http", "https": "http"}


def is_remote(text: str) -> bool:
    """Whether a path is the URI of a store."""
    return scheme_of(text) in STORES


def scheme_of(text: str) -> str:
    """The scheme of a URI; empty for a path."""
    scheme, separator, _ = text.partition("://")
    return scheme if separator else ""


@cache
def open_store(scheme: str) -> Store:
    """The store of a scheme, one for the process. Raises MissingDependencyError."""
    if scheme == "https":
        return open_store("http")
    try:
        return STORES[scheme]()
    except ImportError:
        extra = _EXTRAS.get(scheme, "s3")
        raise MissingDependencyError(f"{scheme}://", extra) from None
    except Exception as error:  # of the provider's package; its words may hold credentials
        raise StoreError(
            f"{scheme}:// cannot be opened ({type(error).__name__}): are its credentials set?"
        ) from None


def store_of(uri: str) -> Store:
    """The store of a URI. Raises UsageError, without quoting it, for one with credentials."""
    if has_credentials(uri):
        raise UsageError(
            "an address with credentials in it: leave them out, for tables and logs would show "
            "them; they come from the provider's usual places (for http, from ~/.netrc)"
        )
    return open_store(scheme_of(uri))


def has_credentials(uri: str) -> bool:
    """Whether a URI holds a user, a password or a signature."""
    try:
        parts = urlsplit(uri)
        names = [name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    except ValueError:
        return True
    if "@" in parts.netloc:
        return True
    web = parts.scheme in ("http", "https")
    return web and any(name.startswith(_SECRET) for name in names)
