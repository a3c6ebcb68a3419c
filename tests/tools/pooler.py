"""Say whether PgBouncer is there, and if not, what to install: exit status 1."""

import sys

from tests.fix_pooler import program


def main() -> int:
    """Look for it."""
    if program() is None:
        print("pgbouncer is not installed: apt install --no-install-recommends pgbouncer")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
