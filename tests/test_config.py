"""The configuration: defaults, precedence, checks, and no password in any message."""

from __future__ import annotations

import copy
import dataclasses
import logging
import pickle
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

import psycopg
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import create_engine

from pyengine import urls
from pyengine.config import DBOSConfig, Settings, redact, resolve
from pyengine.errors import DBOSInitializationError

CANARY = "c4n4ry"


def settings_of(environ: Mapping[str, str] | None = None, /, **config: Any) -> Settings:
    given_config: Any = {"name": "test-app", **config}
    return resolve(given_config, environ or {})


def refusal_of(
    environ: Mapping[str, str] | None = None, /, **config: Any
) -> DBOSInitializationError:
    with pytest.raises(DBOSInitializationError) as caught:
        settings_of(environ, **config)
    return caught.value


# Names and defaults


def test_a_name_alone_is_a_complete_configuration() -> None:
    settings = settings_of()

    assert settings.system_database_url is None
    assert settings.application_database_url is None
    assert settings.same_database
    assert settings.schema == "pyengine"
    assert settings.executor_name == "local"
    assert not settings.version_is_pinned
    assert (settings.lease_seconds, settings.heartbeat_seconds) == (15.0, 3.0)
    assert settings.hibernate_after == 60.0
    assert settings.max_payload_bytes == 1024 * 1024
    assert settings.pool_size == 20
    assert settings.max_executor_threads is None
    assert settings.log_level == settings.console_log_level == logging.INFO
    assert settings.connect_arguments == {"connect_timeout": 10}


@pytest.mark.parametrize("name", ["abc", "a" * 256, "my_app-2"])
def test_a_good_name_is_accepted(name: str) -> None:
    assert settings_of(name=name).name == name


@pytest.mark.parametrize(
    "name", ["ab", "a" * 257, "My-App", "my app", "my.app", "app\n", "", "äpp"]
)
def test_a_bad_name_is_refused(name: str) -> None:
    assert "'name'" in refusal_of(name=name).message


@pytest.mark.parametrize("config", [{}, {"name": None}])
def test_a_missing_name_is_refused(config: Any) -> None:
    with pytest.raises(DBOSInitializationError, match="'name' is missing"):
        resolve(config, {})


def test_a_configuration_that_is_no_dictionary_is_refused() -> None:
    wrong: Any = ["name"]

    with pytest.raises(DBOSInitializationError, match="must be a dictionary, not list"):
        resolve(wrong, {})


# Which database


def test_the_database_is_the_first_place_that_names_one() -> None:
    environ = {
        "DBOS_SYSTEM_DATABASE_URL": "postgresql://second/d",
        "PYENGINE_DATABASE_URL": "postgresql://third/d",
        "PGHOST": "fourth",
    }
    application = "postgresql://fifth/d"
    first = settings_of(environ, system_database_url="postgresql://first/d")
    assert first.system_database_url == "postgresql://first/d"

    for variable, expected in [
        ("DBOS_SYSTEM_DATABASE_URL", "postgresql://second/d"),
        ("PYENGINE_DATABASE_URL", "postgresql://third/d"),
        ("PGHOST", "postgresql://"),
    ]:
        found = settings_of(environ, application_database_url=application).system_database_url
        assert found == expected
        del environ[variable]

    assert settings_of(environ, application_database_url=application).system_database_url == (
        application
    )
    assert settings_of(environ).system_database_url is None


@pytest.mark.parametrize("variable", ["PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE", "PGDATABASE"])
def test_the_environment_of_libpq_is_used_when_it_says_where(variable: str) -> None:
    assert settings_of({variable: "5"}).system_database_url == "postgresql://"


@pytest.mark.parametrize("variable", ["PGUSER", "PGPASSWORD", "PGSSLMODE"])
def test_the_environment_of_libpq_is_not_used_when_it_only_says_how(variable: str) -> None:
    assert settings_of({variable: "x"}).system_database_url is None


def test_none_and_an_empty_variable_are_not_a_database() -> None:
    settings = settings_of({"DBOS_SYSTEM_DATABASE_URL": ""}, system_database_url=None)

    assert settings.system_database_url is None


def test_an_empty_url_in_the_configuration_is_refused() -> None:
    assert "'system_database_url' cannot be used: it is empty" in str(
        refusal_of(system_database_url="")
    )


@pytest.mark.parametrize("key", ["application_database_url", "database_url"])
def test_an_application_database_alone_is_the_system_database_too(key: str) -> None:
    settings = settings_of(**{key: "postgresql://u@h/d"})

    assert settings.system_database_url == settings.application_database_url == "postgresql://u@h/d"
    assert settings.same_database


def test_the_url_of_a_given_engine_is_used() -> None:
    engine = create_engine("postgresql+psycopg://u:p%40w@h:5433/d")

    settings = settings_of(system_database_engine=engine)

    assert settings.system_database_url == "postgresql://u:p%40w@h:5433/d"


def test_something_else_as_the_engine_is_refused() -> None:
    assert "must be an SQLAlchemy engine" in str(refusal_of(system_database_engine=object()))


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("postgres://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgresql+psycopg://u:p@h:5432/d", "postgresql://u:p@h:5432/d"),
        ("postgresql+psycopg2://u@h/d?sslmode=require", "postgresql://u@h/d?sslmode=require"),
        ("postgresql+asyncpg://u@h/d?ssl=true", "postgresql://u@h/d?sslmode=require"),
        ("POSTGRESQL://h/d", "postgresql://h/d"),
        (" postgresql://h/d\n", "postgresql://h/d"),
        ("postgresql://", "postgresql://"),
        ("postgresql:///d?host=/tmp", "postgresql:///d?host=%2Ftmp"),
        ("postgresql://%2Ftmp/d", "postgresql://%2Ftmp/d"),
        ("postgresql://a:1,b:2/d", "postgresql://a:1,b:2/d"),
        ("postgresql://[::1]:5433/d", "postgresql://[::1]:5433/d"),
        ("postgresql://u:a:b?c#d@h/d", "postgresql://u:a%3Ab%3Fc%23d@h/d"),
        ("postgresql://h/d?user=me&password=pw", "postgresql://me:pw@h/d"),
        ("host=/tmp port=5433 dbname=d", "postgresql:///d?host=%2Ftmp&port=5433"),
        (r"host=h password='a b\'c' user = u", "postgresql://u:a%20b%27c@?host=h"),
        ("postgresql://h/d?options=-c a=b", "postgresql://h/d?options=-c%20a%3Db"),
    ],
)
def test_each_spelling_of_a_url_is_normalised(text: str, normalised: str) -> None:
    assert settings_of(system_database_url=text).system_database_url == normalised


_LOGIN = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


@hypothesis_settings(deadline=None)
@given(user=_LOGIN, password=_LOGIN, database=_LOGIN)
def test_libpq_reads_from_our_text_what_we_read_from_the_users(
    user: str, password: str, database: str
) -> None:
    url = urls.DatabaseUrl(user, password, (("h", "1"),), database, {"application_name": user})

    assert urls.parse(str(url)) == url
    assert conninfo_to_dict(str(url)) == {
        "user": user,
        "password": password,
        "host": "h",
        "port": "1",
        "dbname": database,
        "application_name": user,
    }


def test_a_resolved_url_connects(database_url: str) -> None:
    scheme, _, rest = database_url.partition("://")
    assert scheme == "postgresql"

    settings = settings_of(system_database_url="postgresql+psycopg://" + rest)

    assert settings.system_database_url is not None
    with psycopg.connect(settings.system_database_url) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize(
    ("system", "application", "same"),
    [
        ("postgresql://a@h/d", "postgresql+psycopg://b:pw@H:5432/d", True),
        ("postgresql://localhost/d", "postgresql://127.0.0.1/d", True),
        ("postgresql://localhost/d", "postgresql://[::1]:5432/d", True),
        ("postgresql://h/d", "host=h dbname=d user=x", True),
        ("postgresql://h:1,i:1/d", "postgresql://h,i/d?port=1", True),
        ("postgresql:///d", "postgresql://envhost:7000/d", True),
        ("postgresql://h", "postgresql://h:7000/envdb", True),
        ("postgresql://h/d", "postgresql://h:7000/d", True),
        ("postgresql://h/d", "postgresql://h/e", False),
        ("postgresql://h/d", "postgresql://i/d", False),
        ("postgresql://h:1/d", "postgresql://h:2/d", False),
        ("postgresql://h/d", "postgresql://h/D", False),
        ("postgresql://?service=a", "postgresql://?service=b", False),
    ],
)
def test_two_urls_are_one_database_if_server_port_and_name_agree(
    system: str, application: str, same: bool
) -> None:
    environ = {}
    if "env" in application or "7000" in application:
        environ = {"PGHOST": "envhost", "PGPORT": "7000", "PGDATABASE": "envdb"}

    settings = settings_of(
        environ, system_database_url=system, application_database_url=application
    )

    assert settings.same_database is same
    assert settings.application_database_url is not None


# Malformed URLs

MALFORMED = [
    f"postgres//u:{CANARY}@h/d",
    f"postgres:/u:{CANARY}@h/d",
    f"u:{CANARY}@h/d",
    CANARY,
    f"postgresql://u:{CANARY}%zz@h/d",
    f"postgresql://u:%00{CANARY}@h/d",
    f"postgresql://u:%ff{CANARY}@h/d",
    f"postgresql://u:x@{CANARY}@h/d",
    f"postgresql://u:x/{CANARY}@h/d",
    f"postgresql://u:12/{CANARY}@h/d",
    f"postgresql://u:12/{CANARY}",
    f"postgresql://u:{CANARY}@h:port/d",
    f"postgresql://u:{CANARY}@h:70000/d",
    f"postgresql://u:{CANARY}@h:5432:1/d",
    f"postgresql://u:{CANARY}@[::1/d",
    f"postgresql://u:{CANARY}@h h/d",
    f"postgresql://u:{CANARY}@h/d/e",
    f"postgresql://u:{CANARY}@h/d?{CANARY}",
    f"postgresql://u:{CANARY}@h/d?{CANARY}=1",
    f"postgresql://u:{CANARY}@h/d?sslmod={CANARY}",
    f"postgresql://u:12?x/{CANARY}@h/d",
    f"postgresql://u:{CANARY}\n@h/d",
    f"postgresql://u:{CANARY}\udcff@h/d",
    f"mysql://u:{CANARY}@h/d",
    f"{CANARY}://u:{CANARY}@h/d",
    f"sqlite:///{CANARY}.sqlite",
    f"host=h password={CANARY} d",
    f"host=h password='{CANARY}",
    f"host=h password={CANARY} {CANARY}=1",
    f"host=h port={CANARY}",
]


def test_every_malformed_url_of_this_list_is_one() -> None:
    accepted = []
    for text in MALFORMED:
        try:
            urls.parse(text)
        except urls.MalformedUrlError:
            continue
        accepted.append(text)

    assert accepted == ["postgresql://u:12/" + CANARY]  # a server named u and a database


@pytest.mark.parametrize("text", [t for t in MALFORMED if t != f"postgresql://u:12/{CANARY}"])
@pytest.mark.parametrize("place", ["system_database_url", "DBOS_SYSTEM_DATABASE_URL"])
def test_a_malformed_url_is_refused_without_showing_it(place: str, text: str) -> None:
    if place.isupper():
        error: BaseException | None = refusal_of({place: text})
    else:
        error = refusal_of(**{place: text})

    assert place in str(error)
    assert CANARY not in "".join(traceback.format_exception(error))
    while error is not None:
        assert CANARY not in repr(error)
        assert CANARY not in repr(vars(error))
        assert error.__cause__ is None
        error = error.__context__


def test_a_sqlite_url_is_answered_with_what_to_do() -> None:
    message = str(refusal_of(system_database_url="sqlite:///app.sqlite"))

    assert "SQLite" in message
    assert "private PostgreSQL server" in message


def test_a_misspelt_parameter_is_answered_with_the_right_one() -> None:
    message = str(refusal_of(system_database_url="postgresql://h/d?sslmod=require"))

    assert "did you mean sslmode?" in message


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql://u:{CANARY}@h/d", "postgresql://u:***@h/d"),
        (f"postgresql://h/d?password={CANARY}", "postgresql://:***@h/d"),
        (f"postgresql://h/d?sslpassword={CANARY}", "postgresql://h/d?sslpassword=***"),
        (f"password={CANARY} host=h", "postgresql://:***@?host=h"),
        (f"postgres//u:{CANARY}@h/d", "<unreadable database URL>"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
    ],
)
def test_a_redacted_url_keeps_everything_but_the_secret(url: str, shown: str) -> None:
    assert redact(url) == shown


def test_the_text_of_settings_and_urls_hides_every_secret() -> None:
    url = f"postgresql://u:{CANARY}@h/d"
    settings = settings_of(
        system_database_url=url,
        application_database_url=url,
        listen_database_url=url,
        db_engine_kwargs={"connect_args": {"password": CANARY}},
        otlp_attributes={"token": CANARY},
        otlp_traces_endpoints=[f"http://u:{CANARY}@h"],
    )

    assert CANARY not in f"{settings!r} {settings} {urls.parse(url)!r}"
    assert "postgresql://u:***@h/d" in repr(settings)
    assert "test-app" in repr(settings)


def test_settings_are_not_pickled() -> None:
    settings = settings_of()

    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(settings)
    with pytest.raises(TypeError, match="not pickled"):
        copy.deepcopy(settings)
    assert dataclasses.replace(settings, name="other").name == "other"


# Values


_WRONG: dict[str, Any] = {
    "name": 5,
    "system_database_url": 5,
    "embedded_directory": 5,
    "db_engine_kwargs": [],
    "sys_db_pool_size": "20",
    "sys_db_polling_concurrency": 1.5,
    "sys_db_idle_transaction_timeout_sec": "60",
    "use_listen_notify": 1,
    "hibernate_after": True,
    "lease_seconds": "15",
    "log_level": 1.5,
    "otlp_traces_endpoints": "http://h",
    "otlp_logs_endpoints": [5],
    "otlp_attributes": {5: "x"},
    "conductor_key": 5,
    "sharding": "yes",
    "admin_port": "3001",
}


@pytest.mark.parametrize(("key", "value"), _WRONG.items())
def test_a_value_of_the_wrong_type_is_refused_by_its_key(key: str, value: object) -> None:
    message = refusal_of(**{key: value}).message

    assert f"'{key}' must be" in message
    assert message.endswith((f"not {type(value).__name__}", "DEBUG"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sys_db_pool_size", 0),
        ("max_executor_threads", 0),
        ("max_payload_bytes", 65_535),
        ("max_payload_bytes", 268_435_457),
        ("hibernate_after", -1),
        ("hibernate_after", float("nan")),
        ("lease_seconds", float("inf")),
        ("lease_seconds", 0),
        ("log_level", "LOUD"),
        ("log_level", -1),
        ("otel_attribute_format", "xml"),
        ("kafka_queue_polling_interval_sec", 0),
        ("notification_coalesce_sec", -1.0),
        ("notification_listener_polling_interval_sec", float("inf")),
        ("dbos_system_schema", ""),
        ("dbos_system_schema", "pg_temp"),
        ("dbos_system_schema", "public"),
        ("dbos_system_schema", "ä" * 32),
        ("dbos_system_schema", "a\x00"),
        ("serializer", "pickle"),
        ("serializer", dict),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_key(key: str, value: object) -> None:
    assert f"'{key}'" in refusal_of(**{key: value}).message


def test_a_heartbeat_too_slow_for_its_lease_is_refused() -> None:
    message = refusal_of(lease_seconds=4, heartbeat_seconds=3).message

    assert "'heartbeat_seconds'" in message
    assert "'lease_seconds'" in message


def test_a_short_lease_shortens_the_heartbeat_that_was_not_given() -> None:
    assert settings_of(lease_seconds=1).heartbeat_seconds == pytest.approx(0.2)


@pytest.mark.parametrize("key", sorted(get_type_hints(DBOSConfig)))
def test_every_key_given_as_none_is_a_key_not_given(key: str) -> None:
    if key == "name":
        return
    expected = settings_of()

    settings = settings_of(**{key: None})

    if key == "hibernate_after":
        assert settings.hibernate_after is None
    else:
        assert settings == expected


def test_every_value_reaches_the_settings() -> None:
    class Serializer:
        def serialize(self, data: Any) -> str:
            return str(data)

        def deserialize(self, text: str) -> Any:
            return text

        def name(self) -> str:
            return "text"

    serializer = Serializer()
    settings = settings_of(
        embedded_directory="/somewhere",
        dbos_system_schema="dbos",
        db_engine_kwargs={
            "pool_size": 5,
            "max_overflow": 2,
            "pool_timeout": 3,
            "connect_args": {"application_name": "mine"},
        },
        sys_db_pool_size=9,
        sys_db_idle_transaction_timeout_sec=0,
        use_listen_notify=False,
        run_migrations=False,
        application_version="v7",
        executor_id="one",
        serializer=serializer,
        max_executor_threads=4,
        max_payload_bytes=70_000,
        hibernate_after=1,
        lease_seconds=5,
        heartbeat_seconds=1,
        log_level="debug",
        console_log_level=logging.ERROR,
        otlp_log_level="WARNING",
        enable_otlp=True,
        otlp_traces_endpoints=["t"],
        otlp_logs_endpoints=["l"],
        otlp_attributes={"a": 1},
        otel_attribute_format="semconv",
        listen_database_url="postgres://direct/d",
    )

    assert settings.embedded_directory == Path("/somewhere")
    assert settings.schema == "dbos"
    assert (settings.pool_size, settings.pool_timeout) == (7, 3.0)
    assert settings.connect_arguments == {"connect_timeout": 10, "application_name": "mine"}
    assert settings.idle_transaction_timeout is None
    assert (settings.use_listen_notify, settings.run_migrations) == (False, False)
    assert (settings.application_version, settings.version_is_pinned) == ("v7", True)
    assert settings.executor_name == "one"
    assert settings.serializer is serializer
    assert (settings.max_executor_threads, settings.max_payload_bytes) == (4, 70_000)
    assert (settings.hibernate_after, settings.lease_seconds, settings.heartbeat_seconds) == (
        1,
        5,
        1,
    )
    assert (settings.log_level, settings.console_log_level, settings.otlp_log_level) == (10, 40, 30)
    assert settings.enable_otlp
    assert (settings.otlp_traces_endpoints, settings.otlp_logs_endpoints) == (("t",), ("l",))
    assert settings.otlp_attributes == {"a": 1}
    assert settings.otel_attribute_format == "semconv"
    assert settings.listen_database_url == "postgresql://direct/d"


def test_an_unknown_connection_argument_is_refused_without_its_value() -> None:
    message = refusal_of(db_engine_kwargs={"connect_args": {"pasword": CANARY}}).message

    assert "'pasword'" in message
    assert CANARY not in message


def test_the_environment_names_executor_application_and_version() -> None:
    environ = {
        "DBOS__VMID": "vm-1",
        "DBOS__APPID": "app-1",
        "DBOS__APPVERSION": "v2",
        "DBOS__OTLP_TRACES_ENDPOINT": "http://traces",
    }
    settings = settings_of(environ)

    assert settings.executor_name == "vm-1"
    assert settings.application_id == "app-1"
    assert (settings.application_version, settings.version_is_pinned) == ("v2", True)
    assert settings.otlp_traces_endpoints == ("http://traces",)
    assert settings_of(environ, executor_id="mine").executor_name == "mine"
    assert settings_of(environ, application_version="v3").application_version == "v3"


def test_patching_pins_one_version_for_all_unless_another_is_given() -> None:
    assert settings_of(enable_patching=True).application_version == "PATCHING_ENABLED"
    assert settings_of(enable_patching=True, application_version="v1").application_version == "v1"


# What is said about keys


def test_unknown_keys_are_ignored_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="pyengine")
    settings = settings_of(execcutor_id="x", zzzzzz=1)

    assert settings == settings_of()
    assert [record.getMessage() for record in caplog.records] == [
        "Ignored unknown configuration keys: 'execcutor_id' (did you mean 'executor_id'?), 'zzzzzz'"
    ]
    assert caplog.records[0].levelno == logging.WARNING


def test_keys_without_effect_are_explained_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="pyengine")
    settings_of(
        conductor_key=CANARY,
        conductor_url="wss://h",
        sharding=True,
        auto_upgrade=False,
        scheduler_polling_interval_sec=7,
        db_engine_kwargs={"pool_pre_ping": True},
    )

    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert "conductor_key, conductor_url (any live process" in record.getMessage()
    assert "sharding (" in record.getMessage()
    assert "scheduler_polling_interval_sec (what waits is woken" in record.getMessage()
    assert "db_engine_kwargs.pool_pre_ping (" in record.getMessage()
    assert "auto_upgrade" not in record.getMessage()
    assert CANARY not in record.getMessage()


def test_no_line_explains_keys_when_the_log_level_is_above_info(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="pyengine")
    settings_of(sharding=True, log_level="WARNING")

    assert caplog.records == []
