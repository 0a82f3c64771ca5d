"""How long this thread has waited for destinations, for who asks where the time of a request went."""

import threading


class _Spent(threading.local):
    redis = 0.0


spent = _Spent()
