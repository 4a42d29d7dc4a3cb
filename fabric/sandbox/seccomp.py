"""The filter of system calls: which a confined child may make, assembled as classic BPF for the kernel (Linux, x86-64 and AArch64).

What Python and ONNX Runtime need to compute is allowed. Whatever else is asked for is refused with EPERM, as if the caller lacked
the right to it; what only an attacker would try ends the process.
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterable

from fabric.sandbox.syscalls import AARCH64, X86_64


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ALLOWED = _names("""
    read write readv writev pread64 pwrite64 lseek close fstat stat lstat newfstatat statx access faccessat faccessat2
    readlink readlinkat getcwd chdir fchdir getdents64 dup dup2 dup3 fcntl pipe pipe2 ftruncate fadvise64 flock
    mprotect munmap mremap madvise brk msync membarrier
    futex set_robust_list get_robust_list rseq set_tid_address arch_prctl restart_syscall exit exit_group
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait sigaltstack setitimer getitimer alarm
    getpid gettid getppid getuid geteuid getgid getegid getresuid getresgid getgroups getpgid getpgrp getsid umask
    sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_getscheduler sched_get_priority_max
    sched_get_priority_min getpriority getcpu
    clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times getrusage getrlimit setrlimit sysinfo uname
    getrandom poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2
    recvmsg recvfrom sendmsg sendto shutdown getsockname getpeername getsockopt setsockopt
""")  # fmt: skip
ALLOWED_WITH_DEVICES = _names("""
    open openat mmap ioctl memfd_create mlock munlock mlock2 mincore get_mempolicy set_mempolicy mbind sched_setscheduler sched_setparam eventfd
    timerfd_create timerfd_settime socketpair statfs fstatfs fallocate
""")  # fmt: skip
"""Drivers in user space ask for these; what they ask of `/dev` is the kernel driver's to judge."""
DEADLY = _names("""
    execve execveat ptrace process_vm_readv process_vm_writev kexec_load kexec_file_load init_module finit_module delete_module
    bpf perf_event_open userfaultfd mount umount2 move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr pivot_root
    chroot setns unshare open_by_handle_at name_to_handle_at keyctl add_key request_key io_uring_setup io_uring_enter
    io_uring_register iopl ioperm modify_ldt swapon swapoff reboot acct quotactl pidfd_getfd process_madvise kcmp settimeofday
    clock_settime adjtimex sethostname setdomainname syslog
""")  # fmt: skip

_MACHINES = {"x86_64": (0xC000003E, X86_64), "aarch64": (0xC00000B7, AARCH64)}  # AUDIT_ARCH_*, numbers
_X32_BIT = 0x40000000  # the same calls under other numbers

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_REFUSE = _ERRNO | errno.EPERM

_CLONE_THREAD = 0x00010000
_MAP_SHARED_ANONYMOUS = 0x01 | 0x20
# Of terminals and descriptors only what Python asks; TIOCSTI would type into the owner's terminal.
_IOCTLS = (0x5401, 0x5413, 0x5421, 0x541B, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FIONBIO, FIONREAD, FIONCLEX, FIOCLEX
_OPEN_TO_WRITE = 0o1 | 0o2 | 0o100 | 0o1000  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC
_PRCTLS = (3, 15, 16, 0x53564D41)  # GET_DUMPABLE, SET_NAME, GET_NAME, SET_VMA
_PR_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER = 1
_SPEC_ALLOW = 4  # all code in here is in one hand, and slower speculation would slow every model

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


class NoFilter(OSError):
    """The kernel or the processor is not one that filters can be made for."""


def install(*, has_devices: bool, required: bool) -> None:
    """Filter this process's calls from now on, for good.

    Raises:
        NoFilter: it cannot be done here, and it is `required`.
    """
    try:
        _install(program(platform.machine(), os.getpid(), has_devices=has_devices))
    except NoFilter:
        if required:
            raise


def program(machine: str, pid: int, *, has_devices: bool = False) -> list[Instruction]:
    """The filter for process `pid` on a kind of processor.

    Raises:
        NoFilter: a kind without a table.
    """
    if machine not in _MACHINES:
        raise NoFilter(f"no filter of system calls for {machine}")
    architecture, numbers = _MACHINES[machine]
    code = [
        _load(_ARCHITECTURE), *_unless_equal(architecture, _KILL),
        _load(_NUMBER), (_JUMP_AT_LEAST, 0, 1, _X32_BIT), _return(_KILL),
    ]  # fmt: skip
    for name in sorted(ALLOWED | (ALLOWED_WITH_DEVICES if has_devices else frozenset()), key=_hot_first):
        code += _when(numbers.get(name), [_return(_ALLOW)])
    code += _when(numbers["clone"], [*_argument(0), (_JUMP_ANY_BIT, 0, 1, _CLONE_THREAD), _return(_ALLOW), _return(_REFUSE)])
    # Its flags lie in memory, where no filter sees them; libraries then fall back on clone.
    code += _when(numbers["clone3"], [_return(_ERRNO | errno.ENOSYS)])
    code += _when(numbers["prctl"], _one_of(0, _PRCTLS))
    code += _when(numbers["tgkill"], _one_of(0, (pid,)))  # abort() is such a call
    code += _when(numbers["prlimit64"], _one_of(0, (0, pid)))
    if not has_devices:
        code += _when(numbers["ioctl"], _one_of(1, _IOCTLS))
        for name, flags in (("open", 1), ("openat", 2)):
            reading = [*_argument(flags), (_JUMP_ANY_BIT, 0, 1, _OPEN_TO_WRITE), _return(_REFUSE), _return(_ALLOW)]
            code += _when(numbers.get(name), reading)
        # Shared memory without a file would not count as private memory, which is what is limited.
        code += _when(numbers["mmap"], [
            *_argument(3), (_AND, 0, 0, _MAP_SHARED_ANONYMOUS), *_unless_equal(_MAP_SHARED_ANONYMOUS, _ALLOW), _return(_REFUSE),
        ])  # fmt: skip
    for name in sorted(DEADLY):
        code += _when(numbers.get(name), [_return(_KILL)])
    return [*code, _return(_REFUSE)]


def _hot_first(name: str) -> tuple[int, str]:
    # The kernel walks the list on every call that it has not learned to allow outright.
    hot = ("futex", "read", "write", "recvmsg", "recvfrom", "sendmsg", "sendto", "madvise", "munmap", "sched_yield")
    return (hot.index(name) if name in hot else len(hot), name)


def _load(offset: int) -> Instruction:
    return (_LOAD, 0, 0, offset)


def _return(action: int) -> Instruction:
    return (_RETURN, 0, 0, action)


def _argument(index: int) -> list[Instruction]:
    return [_load(16 + 8 * index)]  # its low half, on processors that store it first


def _unless_equal(value: int, action: int) -> list[Instruction]:
    return [(_JUMP_EQUAL, 1, 0, value), _return(action)]


def _one_of(argument: int, values: Iterable[int]) -> list[Instruction]:
    checks: list[Instruction] = []
    for value in values:
        checks += [(_JUMP_EQUAL, 0, 1, value), _return(_ALLOW)]
    return [*_argument(argument), *checks, _return(_REFUSE)]


def _when(number: int | None, body: list[Instruction]) -> list[Instruction]:
    """`body`, which returns in every case, for one call; nothing for a call that the processor lacks."""
    return [] if number is None else [(_JUMP_EQUAL, 0, len(body), number), *body]


def encoded(code: Iterable[Instruction]) -> bytes:
    """The instructions as the kernel reads them (struct sock_filter)."""
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _install(code: list[Instruction]) -> None:
    if not sys.platform.startswith("linux") or sys.byteorder != "little":
        raise NoFilter("no filter of system calls on this platform")
    numbers = _MACHINES[platform.machine()][1]
    libc = ctypes.CDLL(None, use_errno=True)
    instructions = ctypes.create_string_buffer(encoded(code))
    # struct sock_fprog: a count, and where the instructions are.
    fprog = ctypes.create_string_buffer(struct.pack("@HP", len(code), ctypes.addressof(instructions)))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), *(ctypes.c_ulong(0),) * 3):
        raise NoFilter(ctypes.get_errno(), "new privileges cannot be given up")
    call = libc.syscall
    call.argtypes = [ctypes.c_long, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_void_p]
    for flags in (_SPEC_ALLOW, 0):  # kernels before 4.17 do not know the flag
        if call(numbers["seccomp"], _SET_MODE_FILTER, flags, ctypes.addressof(fprog)) == 0:
            return
    raise NoFilter(ctypes.get_errno(), "the kernel takes no filter of system calls")
