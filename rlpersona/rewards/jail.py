"""Runs one program and its tests, shut in: the other end of `sandbox.py`.

Started as a script by `python -I -S`, so it imports the standard library alone. It reads a job from
stdin, gives up what it may (network, the disk outside its folder, other processes, memory), runs the
program, and writes JSON lines to the descriptor that it was given: what it gave up, then the verdict.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import resource
import struct
import sys
from typing import Any

NEWNS, NEWUSER, NEWNET = 0x00020000, 0x10000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MOUNT_SETATTR, READ_ONLY, RECURSIVE, HERE = 442, 1, 0x8000, -100
NO_NEW_PRIVILEGES, SECCOMP, FILTER, CAPABILITIES_V3 = 38, 22, 2, 0x20080522
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050001  # the call fails with EPERM
# Of each architecture its number, and those of the system calls that start, signal or read processes, or
# open sockets: socket, socketpair, clone, fork, vfork, execve, kill, ptrace, tkill, tgkill, execveat,
# process_vm_writev, pidfd_send_signal, io_uring_setup, clone3.
CALLS = {
    "x86_64": (
        0xC000003E,
        (41, 53, 56, 57, 58, 59, 62, 101, 200, 234, 322, 311, 424, 425, 435),
    ),
    "aarch64": (0xC00000B7, (198, 199, 220, 221, 129, 117, 130, 131, 281, 271, 424, 425, 435)),
}


def main(descriptor: int) -> None:
    """Read the job, shut the door, run it, say how it went."""
    job = json.loads(sys.stdin.buffer.read())
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    token = job.pop("token")

    def tell(**news: Any) -> None:
        os.write(descriptor, (json.dumps({"token": token, **news}) + "\n").encode())

    tell(given_up=sorted(shut_in(job["folder"], job["limits"])))
    tell(error=run(job["program"], job["tests"]))


def run(program: str, tests: list[str]) -> str | None:
    """None if the program runs and every test passes, else what went wrong."""
    space: dict[str, Any] = {"__name__": "solution"}
    part = "the program"
    try:
        exec(compile(program, "solution.py", "exec"), space)
        for i, test in enumerate(tests, start=1):
            part = f"test {i}"
            exec(compile(test, f"test_{i}.py", "exec"), space)
    except BaseException as error:
        return f"{part}: {type(error).__name__}: {str(error)[:200]}"
    return None


def shut_in(folder: str, limits: dict[str, int]) -> set[str]:
    """Give up network, files, processes and privileges; the names of those that could be given up."""
    given_up: set[str] = set()
    if enter_namespaces(NEWNET | NEWNS) or enter_namespaces(NEWUSER | NEWNET | NEWNS):
        given_up.add("network")
        if only_folder_writable(folder):
            given_up.add("files")
    drop_capabilities()
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, name), (value, value))
    if refuse_calls():
        given_up |= {"network", "processes"}
    elif os.geteuid() != 0:
        given_up.add("processes")  # by RLIMIT_NPROC, which the kernel does not hold against root
    return given_up


def enter_namespaces(flags: int) -> bool:
    """Leave the parent's namespaces; a new user namespace keeps the user's own id."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    if not hasattr(libc, "unshare") or libc.unshare(flags):
        return False
    if flags & NEWUSER:
        try:
            for name, text in (
                ("setgroups", "deny"),
                ("uid_map", f"{user} {user} 1"),
                ("gid_map", f"{group} {group} 1"),
            ):
                with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                    file.write(text)
        except OSError:
            return False
    return True


def only_folder_writable(folder: str) -> bool:
    """Mount everything read-only but the folder (needs a mount namespace of its own, Linux 5.12)."""
    libc = ctypes.CDLL(None, use_errno=True)
    place = folder.encode()

    def attributes(path: bytes, on: int, off: int, flags: int) -> bool:
        wanted = (ctypes.c_uint64 * 4)(on, off, 0, 0)
        size = ctypes.c_size_t(ctypes.sizeof(wanted))
        return bool(libc.syscall(MOUNT_SETATTR, HERE, path, flags, wanted, size) == 0)

    done = (
        libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None) == 0
        and libc.mount(place, place, None, ctypes.c_ulong(MS_BIND), None) == 0
        and attributes(b"/", READ_ONLY, 0, RECURSIVE)
        and attributes(place, 0, READ_ONLY, 0)
    )
    os.chdir(folder)
    return done


def drop_capabilities() -> None:
    """Give up what the namespaces gave, for good."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if hasattr(libc, "capset"):
        libc.capset((ctypes.c_uint32 * 2)(CAPABILITIES_V3, 0), (ctypes.c_uint32 * 6)())


def refuse_calls() -> bool:
    """Have the kernel refuse the calls in `CALLS` (seccomp), for good."""
    libc = ctypes.CDLL(None, use_errno=True)
    if platform.machine() not in CALLS or not hasattr(libc, "prctl"):
        return False
    architecture, calls = CALLS[platform.machine()]
    refusal = len(calls) + 5  # the step that refuses
    steps = [
        (LOAD, 0, 0, 4),
        (EQUAL, 0, refusal - 2, architecture),
        (LOAD, 0, 0, 0),
        (AT_LEAST, refusal - 4, 0, 0x40000000),
        *((EQUAL, refusal - i - 1, 0, call) for i, call in enumerate(calls, start=4)),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, REFUSE),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    return bool(libc.prctl(SECCOMP, FILTER, program, 0, 0) == 0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
