"""The helper's parts as functions, called from Python."""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

CC = shlex.split(os.environ.get("CC", "cc"))
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-D_DARWIN_C_SOURCE", "-O1", "-g", '-DLOCALD_VERSION="0"']


def load(source_root: Path, folder: Path) -> ctypes.CDLL:
    """All of the helper but main()."""
    out = folder / "pure.so"
    system = {"linux": "os_linux", "darwin": "os_darwin"}[sys.platform]
    names = ("request", "policy", "policyfile", "sockets", system)
    sources = [*(f"csrc/shim/{name}.c" for name in names), "csrc/fdpass.c"]
    subprocess.run([*CC, *FLAGS, "-shared", "-fPIC", *sources, "-o", out], cwd=source_root, check=True)
    return ctypes.CDLL(str(out))


class Address(ctypes.Structure):
    _fields_ = (("family", ctypes.c_int), ("bytes", ctypes.c_uint8 * 16))


class Request(ctypes.Structure):
    _fields_ = (("verb", ctypes.c_int), ("port", ctypes.c_uint16), ("address", Address))


def parse(library: ctypes.CDLL, *arguments: bytes) -> tuple[int, Request]:
    request = Request()
    argv = (ctypes.c_char_p * (len(arguments) + 1))(*arguments, None)
    return library.request_parse(len(arguments), argv, ctypes.byref(request)), request


def decide(library: ctypes.CDLL, text: bytes, uid: int, request: Request) -> int:
    return int(library.policy_decide(text, ctypes.c_size_t(len(text)), ctypes.c_uint(uid), ctypes.byref(request)))


class Msghdr(ctypes.Structure):
    """Of 64-bit Linux."""

    _fields_ = (
        ("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("iov", ctypes.c_void_p), ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t), ("flags", ctypes.c_int),
    )  # fmt: skip


def collect(library: ctypes.CDLL, control: bytes) -> tuple[int, list[int]]:
    """The errno and the descriptors that the walk over a control buffer yields."""
    buffer = ctypes.create_string_buffer(control, max(1, len(control)))
    message = Msghdr(control=ctypes.addressof(buffer), controllen=len(control))
    out, count = (ctypes.c_int * 254)(), ctypes.c_size_t()
    status = library.fdpass_collect(ctypes.byref(message), out, ctypes.byref(count))
    return status, list(out[: count.value])


def cmsg(level: int, kind: int, data: bytes, length: int | None = None) -> bytes:
    """One control message of 64-bit Linux: cmsg(3)."""
    size = 16 + len(data) if length is None else length
    raw = size.to_bytes(8, "little") + level.to_bytes(4, "little") + kind.to_bytes(4, "little") + data
    return raw + bytes(-len(raw) % 8)


def in_child(closed: int, call: Callable[[], int]) -> int:
    """The result of the call in a process that has no such descriptor."""
    pid = os.fork()
    if pid == 0:
        os.close(closed)
        os._exit(call() & 0xFF)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
