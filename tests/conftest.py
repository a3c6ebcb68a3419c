pytest_plugins = [
    "tests.fix_server",
    "tests.fix_engine",
    "tests.fix_pooler",
    "tests.fix_registry",
    "tests.fix_roles",
    "tests.fix_sql_coverage",
]
