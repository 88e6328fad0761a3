"""The filter of system calls: a program in BPF that the kernel runs before each of them.

A namespace hides what is outside; the filter takes away kernel code that a training never calls
and through which most escapes went. Everything is allowed but what is listed, since libraries
call new things with each release; calls newer than the list are answered as if the kernel did
not know them, as Docker does, for which all libraries are prepared.
Source: seccomp(2), and the tables of linux/arch/x86/entry/syscalls and asm-generic/unistd.h.
"""

import errno
import platform
import socket
import struct

from lotterybench.errors import BadRequest

# name: (number on x86-64, number on aarch64); None where the machine has no such call
DENIED: dict[str, tuple[int | None, int | None]] = {
    # other processes
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "kcmp": (312, 272), "pidfd_getfd": (438, 438),
    "move_pages": (279, 239), "migrate_pages": (256, 238),
    # new namespaces and mounts
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "move_mount": (429, 429),
    "open_tree": (428, 428), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "swapon": (167, 224),
    "swapoff": (168, 225), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    # parts of the kernel with a record
    "bpf": (321, 280), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "userfaultfd": (323, 282), "perf_event_open": (298, 241),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "fanotify_init": (300, 262), "lookup_dcookie": (212, 18), "modify_ldt": (154, None),
    "personality": (135, 92), "vhangup": (153, 58), "nfsservctl": (180, 42),
    "uselib": (134, None), "_sysctl": (156, None), "ustat": (136, None), "sysfs": (139, None),
    # the machine
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "reboot": (169, 142),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266),
    "adjtimex": (159, 171), "acct": (163, 89), "syslog": (103, 116), "iopl": (172, None),
    "ioperm": (173, None),
    # memory that no process's size and no disk budget counts
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194),
    "msgget": (68, 186), "mq_open": (240, 180),
}  # fmt: skip
NEWEST = 450  # set_mempolicy_home_node, the last call of Linux 5.17
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column, AUDIT_ARCH
SOCKET, SOCKETPAIR, CLONE, IOCTL = (41, 198), (53, 199), (56, 220), (16, 29)
CLONE3 = 435
X32 = 0x40000000
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x60000000
TIOCSTI, TIOCLINUX = 0x5412, 0x541C  # typing into the terminal that one was started from

# Operations (linux/bpf_common.h), offsets in struct seccomp_data, and what a filter may answer.
LOAD, EQUAL, GREATER, ANY_BIT, RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST, SECOND = 0, 4, 16, 24
ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000


def seccomp_filter(machine: str = platform.machine()) -> bytes:
    """Return the filter for a machine, as bwrap's `--seccomp` takes it.

    Raises `BadRequest` for a machine whose numbers are not in the table.
    """
    if machine not in MACHINES:
        raise BadRequest(
            f"the sandbox knows the system calls of {' and '.join(MACHINES)}, not of {machine}; "
            "rerun submissions on one of these"
        )
    column, architecture = MACHINES[machine]
    steps = [_step(LOAD, ARCHITECTURE), *_unless(EQUAL, architecture, KILL), _step(LOAD, NUMBER)]
    steps += _when(GREATER, X32 - 1, ERROR | errno.ENOSYS)
    steps += _when(GREATER, NEWEST, ERROR | errno.ENOSYS)
    # glibc uses clone where clone3, whose flags lie in memory, is unknown
    steps += _when(EQUAL, CLONE3, ERROR | errno.ENOSYS)
    for numbers in DENIED.values():
        number = numbers[column]
        if number is not None:
            steps += _when(EQUAL, number, ERROR | errno.EPERM)
    family = [*_when(EQUAL, socket.AF_UNIX, ALLOW), _step(RETURN, ERROR | errno.EAFNOSUPPORT)]
    steps += _argument(SOCKET[column], FIRST, family)
    steps += _argument(SOCKETPAIR[column], FIRST, family)
    steps += _argument(CLONE[column], FIRST, _when(ANY_BIT, NAMESPACES, ERROR | errno.EPERM))
    typing = [*_when(EQUAL, TIOCSTI, ERROR | errno.EPERM)]
    typing += _when(EQUAL, TIOCLINUX, ERROR | errno.EPERM)
    steps += _argument(IOCTL[column], SECOND, typing)
    return b"".join([*steps, _step(RETURN, ALLOW)])


def _step(operation: int, value: int, hit: int = 0, miss: int = 0) -> bytes:
    """Return one struct sock_filter."""
    return struct.pack("=HBBI", operation, hit, miss, value)


def _when(test: int, value: int, answer: int) -> list[bytes]:
    return [_step(test, value, 0, 1), _step(RETURN, answer)]


def _unless(test: int, value: int, answer: int) -> list[bytes]:
    return [_step(test, value, 1, 0), _step(RETURN, answer)]


def _argument(number: int, offset: int, steps: list[bytes]) -> list[bytes]:
    """Return steps that look at the low half of an argument, which is all that the kernel reads."""
    body = [_step(LOAD, offset), *steps, _step(RETURN, ALLOW)]
    return [_step(EQUAL, number, 0, len(body)), *body]
