"""Logging: Loguru to stderr at the level of the settings. Document text and questions are never logged."""

import sys

from loguru import logger


def set_up_logging(level: str) -> None:
    """Send log records of ``level`` and above to stderr, one line each, without values of local variables."""
    logger.remove()
    logger.add(sys.stderr, level=level, format="{time:HH:mm:ss} {level} {message}", backtrace=False, diagnose=False)
