"""The error tree: each message says what happened, to which file, and what to do."""

from __future__ import annotations

from geotag.files.credentials import redacted


class GeotagError(Exception):
    """Base of all errors that geotag raises on purpose; fatal ones end with `exit_code`.

    Their text never holds the credentials of an address.
    """

    exit_code = 1

    def __str__(self) -> str:
        return redacted(super().__str__())


class UsageError(GeotagError):
    """The command or call makes no sense as it stands."""

    exit_code = 2


class MissingDependencyError(GeotagError):
    """An optional package is needed that is not installed."""

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(
            f"{purpose} needs an optional package: pip install '.[{extra}]' in geotag's folder"
        )
        self.purpose = purpose
        self.extra = extra


class CategoryTableError(GeotagError):
    """The landmark table is malformed."""


class CheckpointError(GeotagError):
    """A model file is missing, damaged or not one of ours."""


class EngineError(GeotagError):
    """The inference engine or device that was asked for cannot be used."""


class SourceError(GeotagError):
    """A folder or bucket cannot be listed at all."""


class TrackError(GeotagError):
    """A recorded track cannot be read."""


class TableError(GeotagError):
    """A table cannot be read or written."""


class CatalogError(GeotagError):
    """The catalog cannot be opened, read or written."""


class AbsenceError(GeotagError):
    """Photos are not there that were: they may be gone, or out of sight for the time being."""


class DamagedCatalogError(CatalogError):
    """The catalog's contents are not what was written; it must be set aside."""


class StoppedError(GeotagError):
    """The run was asked to stop before it could save anything."""

    exit_code = 130


class DataError(GeotagError):
    """A training set, a list of exclusions or a run folder is missing or malformed."""


class LockedError(GeotagError):
    """Another run holds the catalog."""

    exit_code = 75


class PhotoError(GeotagError):
    """One photo cannot be read; becomes a row with this reason, never a crash."""

    transient = False


class TransientPhotoError(PhotoError):
    """One photo cannot be read now, but may be later."""

    transient = True
