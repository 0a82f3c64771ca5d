"""Structured logs: one JSON object a line on standard error, never with a trait, an id value or a secret in it."""

import structlog

_SHARED: list[structlog.types.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def logging_settings(*, level: str) -> dict[str, object]:
    """Return Django's LOGGING: everything, drivers included, goes through structlog's JSON renderer."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _SHARED,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    structlog.processors.JSONRenderer(),
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # redis-py and the drivers put data into their messages: only their warnings, and those are our words.
            "redis": {"level": "CRITICAL"},
            # A tick a second says nothing; what the steps did is told by our own loggers.
            "celery": {"level": "WARNING"},
            "django.server": {"level": "WARNING"},
        },
    }


def configure_structlog() -> None:
    """Point structlog at the logging above."""
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
