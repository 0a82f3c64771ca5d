"""How the files of the pages are named, compressed and kept: by `collectstatic`, once a release (docs/operating.md).

Collected files carry a digest of their content in their names, so that browsers keep them for good, and lie there
compressed. Where nothing was collected, as in tests, they are served as they are.
"""

from django.contrib.staticfiles.apps import StaticFilesConfig
from whitenoise.storage import CompressedManifestStaticFilesStorage


class Storage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # whitenoise has no types
    def stored_name(self, name: str) -> str:
        """Return a file's name with its digest; the plain name where nothing was collected."""
        stored: str = super().stored_name(name) if self.hashed_files else name
        return stored


class StaticFiles(StaticFilesConfig):
    # The framework's own pages are not served.
    ignore_patterns = [*StaticFilesConfig.ignore_patterns, "rest_framework"]
