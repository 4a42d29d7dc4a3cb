"""What a child does to itself, for good, before it looks at anything of a stranger's: limits, a filter of system calls.

Runs inside the child (`launch.start` puts it before the program): sets the limits it was told, installs the filter where the
kernel has one, then becomes the program.
"""

import ctypes
import json
import os
import runpy
import sys
import threading
from typing import Any

from fabric.sandbox import seccomp

ADDRESS_SPACE_FACTOR = 4  # over private memory: code, stacks not yet used, and what is shared with the parent
ADDRESS_SPACE_SPARE = 16 * 1024**3
_PR_SET_PDEATHSIG = 1
_SIGKILL = 9


def main() -> None:
    """Confine this process as told by its last argument, then run the program named there."""
    told = json.loads(sys.argv[2])
    if sys.platform.startswith("linux") and told["isolation"] == "process":
        _libc().prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    set_limits(told["limits"], has_devices=told["devices"])
    seccomp.install(has_devices=told["devices"], required=told["isolation"] == "sandbox")
    program, *sys.argv[1:] = told["argv"]
    if program == __name__:
        return  # only to see whether all this works here
    if program.endswith(".py"):
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


def set_limits(limits: dict[str, Any], *, has_devices: bool) -> None:
    """Give up what is beyond the limits. What the platform does not know stays as it is."""
    try:
        import resource
    except ImportError:
        return  # Windows
    _limit(resource, "RLIMIT_CORE", 0)
    _limit(resource, "RLIMIT_FSIZE", limits["file_bytes"])
    _limit(resource, "RLIMIT_NOFILE", limits["open_files"])
    if limits["cpu_s"] is not None:
        # A second more as the hard limit: the kernel sends SIGXCPU at the soft one, SIGKILL at the hard one.
        _limit(resource, "RLIMIT_CPU", limits["cpu_s"], limits["cpu_s"] + 1)
    if limits["threads"] is not None:
        _limit_threads(resource, limits["threads"])
    if limits["memory_bytes"] is not None and not has_devices:
        # Data is what is private and writable, used or not; the address space only bounds what else could be mapped.
        _limit(resource, "RLIMIT_DATA", limits["memory_bytes"])
        _limit(resource, "RLIMIT_AS", limits["memory_bytes"] * ADDRESS_SPACE_FACTOR + ADDRESS_SPACE_SPARE)


def _limit(resource: Any, name: str, soft: int, hard: int | None = None) -> None:
    if (number := getattr(resource, name, None)) is None:
        return
    ceiling = resource.getrlimit(number)[1]
    wanted = [soft if value is None else value for value in (soft, hard)]
    if ceiling != resource.RLIM_INFINITY:
        wanted = [min(value, ceiling) for value in wanted]
    try:
        resource.setrlimit(number, tuple(wanted))
    except (OSError, ValueError):
        if sys.platform.startswith("linux"):
            raise
        # Other kernels know the name of a limit and refuse to set it.


def _limit_threads(resource: Any, threads: int) -> None:
    if not hasattr(resource, "RLIMIT_NPROC"):
        return
    ceiling = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    wanted = threads if ceiling == resource.RLIM_INFINITY else min(threads, ceiling)
    resource.setrlimit(resource.RLIMIT_NPROC, (wanted, ceiling))
    probe = threading.Thread(target=os.getpid)
    try:
        probe.start()
    except RuntimeError:
        # Some kernels count all processes of the user, not those in here; then the limit would leave no thread at all.
        resource.setrlimit(resource.RLIMIT_NPROC, (ceiling, ceiling))
        return
    probe.join()
    resource.setrlimit(resource.RLIMIT_NPROC, (wanted, wanted))


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


if __name__ == "__main__":
    main()
