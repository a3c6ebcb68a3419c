"""Sending the records of the logger `pyengine` over OTLP."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import get_current
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.util.types import AttributeValue

from pyengine.log import ContextFilter, logger
from pyengine.settings import Settings
from pyengine.telemetry.sending import Pipe

_IDS = ("operationUUID", "traceId", "applicationVersion", "executorID")
_SEVERITIES = (
    (logging.CRITICAL, SeverityNumber.FATAL),
    (logging.ERROR, SeverityNumber.ERROR),
    (logging.WARNING, SeverityNumber.WARN),
    (logging.INFO, SeverityNumber.INFO),
    (logging.DEBUG, SeverityNumber.DEBUG),
)


class LogExport:
    """Sends the logger's records to the endpoints of a configuration, from its construction on."""

    def __init__(self, settings: Settings, names: Mapping[str, str]) -> None:
        exporters = [OTLPLogExporter(endpoint=each) for each in settings.otlp_logs_endpoints]
        processors = [BatchLogRecordProcessor(each) for each in exporters]
        self._pipes = list(map(Pipe, processors, exporters))
        self._provider: LoggerProvider | None = None
        if not processors:
            return
        self._provider = LoggerProvider(resource=Resource.create({SERVICE_NAME: settings.name}))
        for processor in processors:
            self._provider.add_log_record_processor(processor)
        self._handler = _Handler(self._provider, settings.otlp_attributes, names)
        self._handler.setLevel(settings.otlp_log_level)
        logger.addHandler(self._handler)

    def detach(self) -> Sequence[Pipe]:
        """Take no more records; what is to be closed then."""
        if self._provider is not None:
            logger.removeHandler(self._handler)
        return self._pipes

    def stop(self) -> None:
        """Let OpenTelemetry forget it, when its pipes are closed."""
        if self._provider is not None:
            self._provider.shutdown()


class _Handler(logging.Handler):
    def __init__(
        self,
        provider: LoggerProvider,
        attributes: Mapping[str, AttributeValue],
        names: Mapping[str, str],
    ) -> None:
        super().__init__()
        self._logger = provider.get_logger(logger.name)
        self._attributes = attributes
        self._names = names
        self.addFilter(ContextFilter())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._logger.emit(self._translated(record))
        except Exception:
            self.handleError(record)

    def _translated(self, record: logging.LogRecord) -> LogRecord:
        return LogRecord(
            timestamp=int(record.created * 1e9),
            observed_timestamp=time.time_ns(),
            context=get_current(),
            severity_text=record.levelname,
            severity_number=_severity(record.levelno),
            body=record.getMessage(),
            attributes={
                **self._attributes,
                **{self._names.get(name, name): getattr(record, name) for name in _IDS},
                "code.file.path": record.pathname,
                "code.line.number": record.lineno,
                **_exception_of(record),
            },
        )


def _severity(level: int) -> SeverityNumber:
    found = (severity for lowest, severity in _SEVERITIES if level >= lowest)
    return next(found, SeverityNumber.TRACE)


def _exception_of(record: logging.LogRecord) -> dict[str, AttributeValue]:
    """The exception that was logged, as the console shows it."""
    if not record.exc_info or record.exc_info[0] is None:
        return {}
    trace = logging.Formatter().formatException(record.exc_info)
    return {"exception.type": record.exc_info[0].__qualname__, "exception.stacktrace": trace}
