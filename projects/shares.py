"""Shares of a whole, in words."""


def percent(part: int, whole: int) -> str:
    """Say a share so that only none is 0 % and only all is 100 %."""
    if not whole:
        return ""
    if part in {0, whole}:
        return f"{100 * part // whole} %"
    share = 100 * part / whole
    return f"{min(max(share, 0.1), 99.9):.1f} %"
