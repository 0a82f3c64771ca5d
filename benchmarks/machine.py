"""Names the machine, so that figures can be compared, and says how the measured process used it."""

import os
import platform
import shutil
from contextlib import suppress
from pathlib import Path


def describe() -> str:
    """Return one line: processor, cores, memory, system, Python."""
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), processor)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"machine: {processor}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def cpu_seconds(pid: int) -> float:
    """Return the user and system seconds a process and its children have used (Linux)."""
    total = 0.0
    for child in _family(pid):
        fields = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def cpu_ms(pid: int) -> float:
    """Return the milliseconds of CPU that the threads of one process have used, to the microsecond (Linux).

    Finer than `cpu_seconds`, which counts in ticks, but without threads that have ended.
    """
    total = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e6


def children(pid: int) -> list[int]:
    """Return the processes that any thread of a process started and that still are there (Linux; elsewhere none)."""
    found = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(child) for child in thread.read_text().split()]
    return found


def command(pid: int) -> str:
    """Return the command line of a process, or nothing where it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def bytes_read(pid: int) -> int:
    """Return the bytes a process has read so far, from wherever (Linux)."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("rchar")))


def room(folder: Path, *, disk: int, memory: int) -> str:
    """Say what is free beside the bytes that are needed; end with "not enough" where they are not there."""
    free_disk, free_memory = shutil.disk_usage(folder).free, _available()
    said = (
        f"disk: {free_disk / 2**30:.0f} GiB free, {disk / 2**30:.1f} needed; "
        f"memory: {free_memory / 2**30:.0f} GiB free, {memory / 2**30:.1f} needed"
    )
    return said if free_disk >= disk and free_memory >= memory else f"{said}: not enough"


def _available() -> int:
    if Path("/proc/meminfo").exists():
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _family(pid: int) -> list[int]:
    return [pid, *(descendant for child in children(pid) for descendant in _family(child))]


def pin(pid: int, core: int) -> None:
    """Keep a process and its children on one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        for member in _family(pid):
            for thread in Path(f"/proc/{member}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {core % (os.cpu_count() or 1)})
