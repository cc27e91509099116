"""Has Linux restrict this process and all that it starts, irrevocably.

Landlock refuses writing outside some folders, access to other processes' memory and environment,
signals to them, and TCP except to one port; seccomp refuses to create sockets at all. Neither needs
privileges or namespaces, which containers often lack.

https://docs.kernel.org/userspace-api/landlock.html
https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PR_GET_SECCOMP, PR_SET_NO_NEW_PRIVS = 21, 38

# linux/capability.h. Those about files are kept, so that root in a container can still read files.
CAPABILITY_VERSION = 0x20080522
FILE_CAPABILITIES = 0b11111

# linux/landlock.h; these system calls have the same numbers on all processors
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
RULESET_VERSION = 1
PATH_BENEATH, NET_PORT = 1, 2
WRITE_FILE, TRUNCATE, REFER = 1 << 1, 1 << 14, 1 << 13
MAKE_AND_REMOVE = sum(1 << bit for bit in range(4, 13))
BIND_TCP, CONNECT_TCP = 1, 2
SCOPES = 0b11  # abstract sockets, signals
REFER_SINCE, TRUNCATE_SINCE, NET_SINCE, SCOPED_SINCE = 2, 3, 4, 6

# linux/seccomp.h, linux/bpf_common.h, linux/audit.h
SET_MODE_FILTER, FLAG_TSYNC = 1, 1
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
LOAD, EQUAL, GREATER, MASK, RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
NUMBER, ARCHITECTURE, FIRST, SECOND = 0, 4, 16, 24  # offsets in struct seccomp_data
X32 = 0x40000000
AF_INET, AF_INET6, SOCK_STREAM, KIND_OF_SOCKET = 2, 10, 1, 0xF


@dataclass(frozen=True)
class _Processor:
    """The system call numbers of a processor."""

    architecture: int
    seccomp: int
    socket: int
    others: tuple[int, ...]  # ptrace, process_vm_readv and _writev, keyctl, io_uring_setup


PROCESSORS = {
    "x86_64": _Processor(0xC000003E, 317, 41, (101, 310, 311, 250, 425)),
    "aarch64": _Processor(0xC00000B7, 277, 198, (117, 270, 271, 219, 425)),
}

NO_NETWORK, ANY_NETWORK = 0, -1
NO_KERNEL = "refusals by the kernel (only Linux has them)"
NO_LANDLOCK = "Landlock, which refuses writing"
NO_SECCOMP = "seccomp, which refuses sockets"


def missing() -> list[str]:
    """Return the protections that this system lacks, in words, without restricting anything."""
    if sys.platform != "linux":
        return [NO_KERNEL]
    libc = _libc()
    has_seccomp = platform.machine() in PROCESSORS and libc.prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0
    found = [] if _version(libc) >= 1 else [NO_LANDLOCK]
    return found if has_seccomp else [*found, NO_SECCOMP]


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def _version(libc: ctypes.CDLL) -> int:
    """Return the version of Landlock; below 1 if the kernel has none."""
    return int(libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), RULESET_VERSION))


def restrict(writable: Iterable[Path], network: int) -> list[str]:
    """Restrict this process, which must not have started threads yet.

    Args:
        writable: Folders and files that may be written.
        network: NO_NETWORK, ANY_NETWORK, or the only TCP port that may be connected to.

    Returns:
        The protections that this system lacks, in words.
    """
    if sys.platform != "linux":
        return [NO_KERNEL]
    libc = _libc()
    _drop_capabilities(libc)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)  # or the two below are refused
    found = [] if _landlock(libc, writable, network) else [NO_LANDLOCK]
    return found if _seccomp(libc, network) else [*found, NO_SECCOMP]


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Drop root's capabilities that bypass Landlock, such as access to other processes."""
    header = ctypes.create_string_buffer(struct.pack("Ii", CAPABILITY_VERSION, 0), 8)
    sets = ctypes.create_string_buffer(24)
    if libc.capget(header, sets) == 0:
        effective, permitted, inheritable, *_ = struct.unpack("6I", sets.raw)
        kept = (bits & FILE_CAPABILITIES for bits in (effective, permitted, inheritable))
        libc.capset(header, struct.pack("6I", *kept, 0, 0, 0))


def _landlock(libc: ctypes.CDLL, writable: Iterable[Path], network: int) -> bool:
    version = _version(libc)
    if version < 1:
        return False
    files = WRITE_FILE | MAKE_AND_REMOVE
    files |= REFER if version >= REFER_SINCE else 0
    files |= TRUNCATE if version >= TRUNCATE_SINCE else 0
    has_network = version >= NET_SINCE and network != ANY_NETWORK
    rights = struct.pack("QQQ", files, BIND_TCP | CONNECT_TCP if has_network else 0, SCOPES)
    size = 24 if version >= SCOPED_SINCE else 16 if version >= NET_SINCE else 8
    rules = libc.syscall(CREATE_RULESET, rights, ctypes.c_size_t(size), 0)
    if rules < 0:
        return False
    try:
        for path in writable:
            with suppress(OSError):  # a path that does not exist need not be writable
                _allow(libc, rules, path, files)
        if has_network and network != NO_NETWORK:
            port = struct.pack("QQ", CONNECT_TCP, network)
            libc.syscall(ADD_RULE, rules, NET_PORT, port, 0)
        return bool(libc.syscall(RESTRICT_SELF, rules, 0) == 0)
    finally:
        os.close(rules)


def _allow(libc: ctypes.CDLL, rules: int, path: Path, rights: int) -> None:
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        allowed = rights if path.is_dir() else rights & (WRITE_FILE | TRUNCATE)
        libc.syscall(ADD_RULE, rules, PATH_BENEATH, struct.pack("=Qi", allowed, opened), 0)
    finally:
        os.close(opened)


def _seccomp(libc: ctypes.CDLL, network: int) -> bool:
    processor = PROCESSORS.get(platform.machine())
    if processor is None:
        return False
    code = b"".join(_program(processor, network))
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    return bool(libc.syscall(processor.seccomp, SET_MODE_FILTER, FLAG_TSYNC, program) == 0)


def _program(processor: _Processor, network: int) -> Iterable[bytes]:
    """Yield the instructions of the filter of system calls."""
    refused = RETURN, 0, 0, ERRNO | errno.EPERM
    allowed = RETURN, 0, 0, ALLOW
    # System calls of another architecture have other numbers.
    lines = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, processor.architecture),
        refused,
        (LOAD, 0, 0, NUMBER),
        (GREATER, 0, 1, X32),
        refused,
    ]
    for number in processor.others:
        lines += [(EQUAL, 0, 1, number), refused]
    if network == NO_NETWORK:
        lines += [(EQUAL, 0, 1, processor.socket), refused]
    elif network != ANY_NETWORK:  # TCP sockets, which Landlock limits to the port
        lines += [
            (EQUAL, 1, 0, processor.socket),
            allowed,
            (LOAD, 0, 0, FIRST),
            (EQUAL, 2, 0, AF_INET),
            (EQUAL, 1, 0, AF_INET6),
            refused,
            (LOAD, 0, 0, SECOND),
            (MASK, 0, 0, KIND_OF_SOCKET),
            (EQUAL, 1, 0, SOCK_STREAM),
            refused,
        ]
    return (struct.pack("HBBI", *line) for line in [*lines, allowed])
