"""Add this version and the migrations that are not yet in sql/migrations/RELEASED: from then on they are frozen."""

from pyengine._version import __version__
from pyengine.schema.sources import migrations, released, releases, sql_root


def main() -> None:
    """Append a line for each migration that was not released before, and the version as a heading behind them."""
    frozen = released()
    with (sql_root() / "migrations" / "RELEASED").open("a", encoding="utf-8") as file:
        for migration in migrations():
            if migration.name not in frozen:
                file.write(f"{migration.sha256}  {migration.name}\n")
                print(f"released {migration.name}")
        if __version__ not in {release.version for release in releases()}:
            file.write(f"# {__version__}\n")


if __name__ == "__main__":
    main()
