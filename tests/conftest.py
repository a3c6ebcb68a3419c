pytest_plugins = ["tests.fix_server", "tests.fix_engine", "tests.fix_registry"]
