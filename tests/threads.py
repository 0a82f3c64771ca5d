"""Asking from another thread."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Answer = TypeVar("Answer")


def elsewhere(question: Callable[[], Answer]) -> Answer:
    """Ask in a thread of its own, and return the answer."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(question).result()
