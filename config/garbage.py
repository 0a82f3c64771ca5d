"""How seldom a process of ours looks for garbage that counting references does not find: there is hardly any."""

import gc

COLLECTED_AFTER = (20_000, 20, 50)  # objects, and rounds of the younger generation


def collect_seldom() -> None:
    """Let the garbage collector pass by what was loaded, and look less often at what requests and rows leave behind.

    They leave hardly any cycles. Looking for them at its own pace takes a third of a batch's time and a twentieth of a
    load's, and now and then, when it goes through all of Django, tens of milliseconds of everybody's.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)
