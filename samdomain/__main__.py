"""Run the command as `python -m samdomain`."""

import sys

from samdomain.cli import main

sys.exit(main())
