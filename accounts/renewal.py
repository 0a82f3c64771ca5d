"""What a process knows for at most a second, and looks up again before the second is over.

If all callers found out together that it is too old, all would wait for our database together, once a second. So one
thread looks it up again a little earlier, while the others go on with what is known.
"""

import threading

FRESH_FOR = 1.0
RENEWED_AFTER = 0.7


class Renewal:
    """Whose turn it is to look something up again. Of one thing that is known, and of one time of knowing it.

    Takes no lock: two threads that come in the same moment both look it up, which does no harm.
    """

    __slots__ = ("_by",)

    def __init__(self) -> None:
        self._by = 0

    def is_due(self, age: float) -> bool:
        """Tell whether the calling thread must look up what is known since `age` seconds.

        Every thread must after `FRESH_FOR`, and between `RENEWED_AFTER` and that the first one that asks, each time
        that it does.
        """
        if age <= RENEWED_AFTER:
            return False
        caller = threading.get_ident()
        if age <= FRESH_FOR and self._by not in (0, caller):
            return False
        self._by = caller
        return True
