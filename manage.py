#!/usr/bin/env python
"""Django's command line; `manage.py up` runs the whole product on this machine (`docs/architecture.md`)."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from config import supervisor

    supervisor.prepare_environment(sys.argv)

    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
