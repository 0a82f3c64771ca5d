"""Keeps a worker alive over a broker that goes away while tasks are at work.

Celery 5.7 closes a connection that is lost. Kombu 5.7's Redis channel then wants another one, of a transport that is
gone as well, to put unacknowledged messages back, or to acknowledge one whose task ends later; the `AttributeError`
ends the worker. Nobody misses a wake-up here, so a closed channel is told neither.
"""

from kombu.transport import redis


class QoS(redis.QoS):
    """Acknowledges nothing over a channel that is closed."""

    restore_at_shutdown = False

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message, if its channel is still there."""
        if not self.channel.closed:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]  # kombu has few types

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """Reject a message, if its channel is still there."""
        if not self.channel.closed:
            super().reject(delivery_tag, requeue)  # type: ignore[no-untyped-call]  # as above


def forgive() -> None:
    """Have every Redis channel of this process use it, Sentinel's too."""
    redis.Channel.QoS = QoS
