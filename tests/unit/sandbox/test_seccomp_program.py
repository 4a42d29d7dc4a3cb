"""The filter of system calls, executed by a small interpreter of classic BPF."""

import errno
import struct

import pytest

from fabric.sandbox import seccomp
from fabric.sandbox.syscalls import AARCH64, X86_64

PID = 4242
MACHINES = {"x86_64": (0xC000003E, X86_64), "aarch64": (0xC00000B7, AARCH64)}
ALLOW, KILL, REFUSE, ABSENT = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS


def verdict(code, number: int, arguments: tuple[int, ...] = (), architecture: int = 0xC000003E) -> int:
    """What the kernel would do with this call."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, *(arguments + (0,) * 6)[:6])
    accumulator = at = 0
    while True:
        operation, if_true, if_false, operand = code[at]
        at += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, operand)
            case 0x54:
                accumulator &= operand
            case 0x06:
                return operand
            case 0x15:
                at += if_true if accumulator == operand else if_false
            case 0x35:
                at += if_true if accumulator >= operand else if_false
            case 0x45:
                at += if_true if accumulator & operand else if_false
            case _:
                raise AssertionError(f"operation {operation:#x} is none that the kernel takes here")


@pytest.fixture(params=MACHINES)
def machine(request):
    architecture, numbers = MACHINES[request.param]
    code = seccomp.program(request.param, PID)
    return lambda name, *arguments: verdict(code, numbers[name], arguments, architecture)


@pytest.mark.parametrize("name", ["read", "write", "futex", "munmap", "recvmsg", "sendmsg", "exit_group", "getrandom"])
def test_what_computing_needs_is_allowed(machine, name):
    assert machine(name) == ALLOW


@pytest.mark.parametrize(
    "name", ["execve", "execveat", "ptrace", "process_vm_readv", "mount", "setns", "unshare", "bpf", "reboot"]
)
def test_what_only_an_attacker_tries_ends_the_process(machine, name):
    assert machine(name) == KILL


@pytest.mark.parametrize("name", ["socket", "memfd_create", "seccomp"])
def test_the_rest_is_refused(machine, name):
    assert machine(name) == REFUSE


def test_a_thread_may_be_made_but_no_process(machine):
    thread = 0x3D0F00  # what the C library asks for
    assert machine("clone", thread) == ALLOW
    assert machine("clone", 0x01200011) == REFUSE  # fork
    assert machine("clone3") == ABSENT


def test_files_may_be_opened_to_read_only(machine):
    o_cloexec = 0o2000000
    assert machine("openat", 0, 0, o_cloexec) == ALLOW
    for writing in (0o1, 0o2, 0o100, 0o1000):
        assert machine("openat", 0, 0, o_cloexec | writing) == REFUSE


def test_memory_is_private_or_of_a_descriptor(machine):
    assert machine("mmap", 0, 0, 3, 0x22) == ALLOW  # private, anonymous
    assert machine("mmap", 0, 0, 3, 0x01, 5) == ALLOW  # shared, of a descriptor
    assert machine("mmap", 0, 0, 3, 0x21) == REFUSE  # shared, anonymous


def test_only_itself_may_be_signalled_and_limited(machine):
    assert machine("tgkill", PID) == ALLOW
    assert machine("tgkill", 1) == REFUSE
    assert machine("prlimit64", 0) == ALLOW
    assert machine("prlimit64", 1) == REFUSE


def test_terminals_are_not_typed_into(machine):
    assert machine("ioctl", 0, 0x5401) == ALLOW
    assert machine("ioctl", 0, 0x5412) == REFUSE


def test_calls_of_another_architecture_end_the_process():
    code = seccomp.program("x86_64", PID)
    assert verdict(code, X86_64["read"], architecture=0x40000003) == KILL  # i386, which has other numbers
    assert verdict(code, 0x40000000 | X86_64["read"]) == KILL  # x32


def test_drivers_get_more_and_attackers_no_less():
    code = seccomp.program("x86_64", PID, has_devices=True)
    assert verdict(code, X86_64["ioctl"], (0, 0xC0104632)) == ALLOW
    assert verdict(code, X86_64["openat"], (0, 0, 0o2)) == ALLOW
    assert verdict(code, X86_64["execve"]) == KILL
    assert verdict(code, X86_64["socket"]) == REFUSE


def test_every_name_has_a_number_somewhere_and_jumps_fit_a_byte():
    for name in seccomp.ALLOWED | seccomp.ALLOWED_WITH_DEVICES | seccomp.DEADLY:
        assert name in X86_64 or name in AARCH64, name
    assert not seccomp.ALLOWED & seccomp.DEADLY
    for kind in MACHINES:
        code = seccomp.program(kind, PID, has_devices=True)
        assert len(seccomp.encoded(code)) == 8 * len(code)
        assert len(code) < 4096


def test_an_unknown_processor_has_no_filter():
    with pytest.raises(seccomp.NoFilter):
        seccomp.program("riscv64", PID)
