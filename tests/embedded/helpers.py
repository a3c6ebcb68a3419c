"""Other programs that use the embedded server, and short questions to it."""

import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import psycopg

REPOSITORY = Path(__file__).parent.parent.parent


class Client:
    """Another Python program that uses the server of a directory until told to leave."""

    PROGRAM = """
        import sys
        from pyengine import embedded
        server = embedded.start(sys.argv[1])
        print("ready", flush=True)
        sys.stdin.readline()
    """

    def __init__(self, root: Path, program: str = PROGRAM) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program), str(root)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == word

    def go_on(self) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write("\n")
            self.process.stdin.flush()

    def leave(self) -> None:
        self.go_on()
        self.process.communicate(timeout=30)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=30)


def remember(dsn: str, word: str) -> None:
    with psycopg.connect(dsn) as session:
        session.execute("create table if not exists memory (word text)")
        session.execute("insert into memory values (%s)", [word])


def remembers(dsn: str, word: str) -> bool:
    with psycopg.connect(dsn) as session:
        found = session.execute("select from memory where word = %s", [word])
        return found.fetchone() is not None


def setting(dsn: str, name: str) -> str:
    with psycopg.connect(dsn) as session:
        row = session.execute("select current_setting(%s)", [name]).fetchone()
        assert row is not None
        return str(row[0])
