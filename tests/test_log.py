"""The logger: its console line, the ids on its records, and what it leaves alone."""

from __future__ import annotations

import io
import logging
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pyengine import log
from pyengine.config import resolve


@pytest.fixture(autouse=True)
def restored_logger() -> Iterator[None]:
    """Give the logger back as it was."""
    logger = log.logger
    before = (logger.level, list(logger.handlers), list(logger.filters), log.context_provider)
    levels = [handler.level for handler in logger.handlers]
    yield
    logger.level, logger.handlers[:], logger.filters[:], log.context_provider = before
    for handler, level in zip(logger.handlers, levels, strict=True):
        handler.setLevel(level)
    logger.manager._clear_cache()  # type: ignore[attr-defined]


def configure(**config: Any) -> None:
    given: Any = {"name": "test-app", **config}
    log.configure(resolve(given, {}))


class Records(logging.Handler):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def test_a_message_is_one_line_with_time_level_and_place(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure()

    log.logger.info("hello %s", "you")

    assert re.fullmatch(
        r"\d\d:\d\d:\d\d \[    INFO\] \(pyengine:test_log\.py:\d+\) hello you\n",
        capsys.readouterr().err,
    )


def test_a_message_before_the_launch_is_shown() -> None:
    program = "from pyengine.log import logger; logger.info('early'); logger.debug('hidden')"

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stderr.endswith("early\n")
    assert done.stdout == ""


def test_the_levels_of_the_configuration_are_used(capsys: pytest.CaptureFixture[str]) -> None:
    records = Records()
    log.logger.addHandler(records)
    configure(log_level="DEBUG", console_log_level="ERROR")

    log.logger.debug("detail")
    log.logger.error("trouble")

    assert [record.msg for record in records.records] == ["detail", "trouble"]
    (line,) = capsys.readouterr().err.splitlines()
    assert "[   ERROR]" in line


def test_exported_logs_have_a_level_of_their_own() -> None:
    configure(log_level="ERROR", otlp_log_level="DEBUG")
    assert log.logger.level == logging.ERROR

    configure(log_level="ERROR", otlp_log_level="DEBUG", enable_otlp=True)
    assert log.logger.level == logging.DEBUG


def test_configuring_twice_shows_each_message_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    configure()

    log.logger.info("once")

    assert capsys.readouterr().err.count("once") == 1
    assert len([f for f in log.logger.filters if isinstance(f, log.ContextFilter)]) == 1


def test_the_root_logger_and_the_users_handlers_stay_as_they_were() -> None:
    root = logging.getLogger()
    mine = Records()
    mine.setLevel(logging.ERROR)
    log.logger.addHandler(mine)
    before = (root.level, list(root.handlers), list(root.filters), mine.level, list(mine.filters))

    configure(log_level="DEBUG")

    assert before == (
        root.level,
        list(root.handlers),
        list(root.filters),
        mine.level,
        list(mine.filters),
    )
    assert mine in log.logger.handlers


@pytest.mark.parametrize("place", ["pyengine", None])
def test_a_console_handler_of_the_user_shows_the_message_instead(
    capsys: pytest.CaptureFixture[str], place: str | None
) -> None:
    configure()
    theirs = logging.StreamHandler(sys.stderr)
    theirs.setFormatter(logging.Formatter("theirs %(message)s"))
    logging.getLogger(place).addHandler(theirs)
    try:
        log.logger.info("hello")
        theirs.setLevel(logging.ERROR)
        log.logger.info("too low for theirs")
    finally:
        logging.getLogger(place).removeHandler(theirs)

    first, second = capsys.readouterr().err.splitlines()
    assert first == "theirs hello"
    assert second.endswith(") too low for theirs")


def test_a_file_handler_of_the_user_does_not_silence_the_console(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    configure()
    file = logging.FileHandler(tmp_path / "log")
    log.logger.addHandler(file)

    log.logger.info("both")
    file.close()

    assert "both" in capsys.readouterr().err
    assert "both" in (tmp_path / "log").read_text()


def test_each_record_carries_the_ids_of_its_moment() -> None:
    records = Records()
    log.logger.addHandler(records)
    configure()
    moment: Mapping[str, object] = {
        "workflow_id": "wf-1",
        "executorID": "local",
        "applicationVersion": "v1",
    }
    log.context_provider = lambda: moment

    log.logger.info("inside")

    (record,) = records.records
    found = {name: getattr(record, name) for name in log._ATTRIBUTES}
    assert found == {
        "workflow_id": "wf-1",
        "operationUUID": "wf-1",
        "executorID": "local",
        "applicationVersion": "v1",
        "traceId": "",
    }


def test_outside_a_workflow_the_attributes_are_empty_so_that_a_format_may_name_them() -> None:
    shown = io.StringIO()
    theirs = logging.StreamHandler(shown)
    theirs.setFormatter(logging.Formatter("<%(workflow_id)s|%(executorID)s> %(message)s"))
    log.logger.addHandler(theirs)
    configure()

    log.logger.info("outside")

    assert shown.getvalue() == "<|> outside\n"


def test_an_attribute_given_with_the_call_stays() -> None:
    records = Records()
    log.logger.addHandler(records)
    log.context_provider = lambda: {"workflow_id": "wf-1"}
    configure()

    log.logger.info("about another", extra={"workflow_id": "wf-2"})

    assert records.records[0].workflow_id == "wf-2"  # type: ignore[attr-defined]


def test_a_child_logger_reaches_the_console_with_the_ids(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure()
    log.context_provider = lambda: {"workflow_id": "wf-1"}

    logging.getLogger("pyengine.child").info("from below")

    assert "(pyengine.child:test_log.py:" in capsys.readouterr().err
