"""How the files of the pages are named, compressed and kept: by `collectstatic`, once a release (docs/operating.md).

Collected files carry a digest of their content in their names, so that browsers keep them for good, and lie there
compressed. Where nothing was collected, as in tests, they are served as they are.
"""

from typing import Any

from django.contrib.staticfiles.apps import StaticFilesConfig
from whitenoise.storage import CompressedManifestStaticFilesStorage


class Storage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # whitenoise has no types
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._addresses: dict[str, str] = {}  # a page asks for a hundred: every icon is one

    def url(self, name: str, force: bool = False) -> str:  # noqa: FBT001, FBT002 - as the framework calls it
        """Return a file's address; that of a collected one, which never changes, is put together once."""
        if not self.hashed_files:
            return str(super().url(name, force))
        if name not in self._addresses:
            self._addresses[name] = super().url(name, force)
        return self._addresses[name]

    def stored_name(self, name: str) -> str:
        """Return a file's name with its digest; the plain name where nothing was collected."""
        stored: str = super().stored_name(name) if self.hashed_files else name
        return stored


class StaticFiles(StaticFilesConfig):
    # The framework's own pages are not served.
    ignore_patterns = [*StaticFilesConfig.ignore_patterns, "rest_framework"]
