"""Add the migrations that are not yet in sql/migrations/RELEASED: from then on they are frozen."""

from pyengine.schema.sources import migrations, released, sql_root


def main() -> None:
    """Append a line for each migration that was not released before."""
    frozen = released()
    with (sql_root() / "migrations" / "RELEASED").open("a", encoding="utf-8") as file:
        for migration in migrations():
            if migration.name not in frozen:
                file.write(f"{migration.sha256}  {migration.name}\n")
                print(f"released {migration.name}")


if __name__ == "__main__":
    main()
