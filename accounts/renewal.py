"""What a process knows for at most a second, and looks up again before the second is over.

If all callers found out together that it is too old, all would wait for our database together, once a second. So one
thread looks it up again a little earlier, while the others go on with what is known.
"""

import threading

FRESH_FOR = 1.0
RENEWED_AFTER = 0.7
_NOBODY, _HANDED_ON = 0, -1  # no thread is called so


class Renewal:
    """Whose turn it is to look something up again. Of one thing that is known, and of one time of knowing it.

    Takes no lock: two threads that come in the same moment both look it up, which does no harm.
    """

    __slots__ = ("_by",)

    def __init__(self) -> None:
        self._by = _NOBODY

    def is_due(self, age: float, *, hands_on: bool = False) -> bool:
        """Tell whether the calling thread must look up what is known since `age` seconds.

        Every thread must after `FRESH_FOR`, and between `RENEWED_AFTER` and that the first one that asks, each time
        that it does. A thread that never looks anything up itself `hands_on`: it must leave this one request to another
        thread, and whichever asks next is the first one.
        """
        if age <= RENEWED_AFTER:
            return False
        caller = _HANDED_ON if hands_on else threading.get_ident()
        if age <= FRESH_FOR:
            if hands_on and self._by != _NOBODY:
                return False
            if self._by not in (_NOBODY, _HANDED_ON, caller):
                return False
        self._by = caller
        return True
