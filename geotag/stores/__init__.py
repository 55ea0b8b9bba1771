"""The schemes of addresses: which store serves each, and what kind of source it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from geotag.errors import MissingDependencyError, UsageError
from geotag.files.credentials import has_credentials
from geotag.stores.base import Store, StoreError


class Kind(Enum):
    """What lies under an address."""

    FILES = "files and folders of this machine"
    BUCKET = "objects that can be listed and written"
    WEB = "files of a web server: read only, and listed one by one"


class Scheme(NamedTuple):
    """What an address begins with; `extra` names the optional packages that its store takes.

    `credentials` says where those come from, for people.
    """

    name: str
    kind: Kind
    store: Callable[[str], Store] | None = None
    extra: str = ""
    credentials: str = ""


def _s3(_: str) -> Store:
    from geotag.stores.s3 import S3Store

    return S3Store()


def _fsspec(name: str) -> Store:
    from geotag.stores.generic import GenericStore

    return GenericStore(name)


def _gcs(_: str) -> Store:
    from geotag.stores.gcs import GcsStore

    return GcsStore()


def _azure(_: str) -> Store:
    from geotag.stores.azure import AzureStore

    return AzureStore()


def _http(_: str) -> Store:
    from geotag.stores.http import HttpStore

    return HttpStore()


_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_FILES = Scheme("", Kind.FILES)
_WEB = Scheme("http", Kind.WEB, _http, "http", "~/.netrc")
_UNNAMED = ("", "memory")  # paths, and what tests use
# Two names of one scheme share its store and source.
SCHEMES = MappingProxyType(
    {
        "": _FILES,
        "file": _FILES,
        "s3": Scheme("s3", Kind.BUCKET, _s3, "s3", "AWS_ACCESS_KEY_ID, AWS_PROFILE or ~/.aws"),
        "gs": Scheme("gs", Kind.BUCKET, _gcs, "gcs", "gcloud auth application-default login"),
        "az": Scheme("az", Kind.BUCKET, _azure, "azure", "AZURE_STORAGE_ACCOUNT_NAME ..."),
        "memory": Scheme("memory", Kind.BUCKET, _fsspec, "s3"),
        "http": _WEB,
        "https": _WEB,
    }
)


def scheme_of(text: str) -> str:
    """The name of a URI's scheme; empty for a path."""
    scheme, separator, _ = text.partition("://")
    return scheme if separator else ""


def is_remote(text: str) -> bool:
    """Whether a path is the URI of a store."""
    return SCHEMES.get(scheme_of(text), _FILES).store is not None


def check_place(text: str, writes: bool = True) -> None:
    """Raise UsageError for an address at which no table can be; a path may be anything."""
    name = scheme_of(text)
    is_unknown = _SCHEME.fullmatch(name) is not None and name not in SCHEMES
    if is_unknown or (writes and name and SCHEMES.get(name, _FILES).kind is Kind.WEB):
        known = known_schemes(Kind.BUCKET)
        raise UsageError(f"{text}: geotag writes on this machine and at {known}, not at {name}://")


def known_schemes(*kinds: Kind) -> str:
    """The schemes of these kinds, as a message names them."""
    names = (name for name, scheme in SCHEMES.items() if scheme.kind in kinds)
    return ", ".join(sorted(f"{name}://" for name in names if name not in _UNNAMED))


def store_of(uri: str) -> Store:
    """The store of a URI. Raises UsageError, without quoting it, for one with credentials."""
    if has_credentials(uri):
        raise UsageError(
            "an address with credentials in it: leave them out, for tables and logs would show "
            "them; they come from the provider's usual places (for http, from ~/.netrc)"
        )
    return open_store(SCHEMES[scheme_of(uri)])


@cache
def open_store(scheme: Scheme) -> Store:
    """The store of a scheme, one for the process. Raises MissingDependencyError."""
    if scheme.store is None:
        raise UsageError("files of this machine lie in no store")
    try:
        return scheme.store(scheme.name)
    except ImportError:
        raise MissingDependencyError(f"{scheme.name}://", scheme.extra) from None
    except Exception as error:  # of the provider's package; its words may hold credentials
        where = f" ({scheme.credentials})" if scheme.credentials else ""
        raise StoreError(
            f"{scheme.name}:// cannot be opened ({type(error).__name__}): are its credentials "
            f"set{where}?"
        ) from None
