"""Parse the output of strace(1) into system calls with their bytes."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

CALLS = (
    "openat,open,creat,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,sendmmsg,sendfile,splice,copy_file_range,"
    "connect,execve,execveat,rename,renameat,renameat2,link,linkat,memfd_create"
)
OPTIONS = ("-f", "-yy", "-xx", "-s", "16777216", "-e", f"trace={CALLS}")
"""Options for `strace`: follow children, show what descriptors are, print all bytes in hexadecimal."""
LINE = re.compile(r"^(?:\[pid +)?(\d+)\]? +(\w+)\((.*)$")
FD = re.compile(r"^(\d+)<(.*?)>(?=[,)]|$)")
STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
FAILED = re.compile(r"= -1 E\w+")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call."""

    name: str
    descriptor: int
    """First argument if it is a descriptor, else -1."""
    target: str
    """What the descriptor refers to: a path, ``TCP:[...]``, ``UNIX-...``."""
    content: bytes
    """Bytes of the string arguments."""
    arguments: str
    """All arguments as strace prints them."""

    @property
    def path(self) -> str:
        """The first string argument, which is a path in calls that take one; empty if there is none."""
        found = [_bytes(each.group(1)) for each in STRING.finditer(self.arguments)]
        return found[0].decode(errors="replace") if found else ""


def calls(lines: Iterable[str]) -> Iterator[Call]:
    """Parse lines that ``strace`` printed with `OPTIONS`.

    Failed calls are left out, because they changed nothing. Connections are kept, because the attempt counts. Raises
    ValueError if a string is truncated, because the record is then incomplete.
    """
    for line in lines:
        found = LINE.match(line)
        if not found or (found.group(2) != "connect" and FAILED.search(line)):
            continue
        name, arguments = found.group(2), found.group(3)
        strings = list(STRING.finditer(arguments))
        if any(each.group(2) for each in strings):
            raise ValueError(f"the output of strace must hold all bytes, is cut off in a string of {name}")
        target = FD.match(arguments)
        sent = strings[:1] if name == "sendto" else strings  # the second string is the address
        content = b"".join(_bytes(each.group(1)) for each in sent)
        described = _decoded(target.group(2)) if target else ""
        yield Call(name, int(target.group(1)) if target else -1, described, content, arguments)


def _decoded(target: str) -> str:
    """Description of a descriptor. strace prints paths in hexadecimal, too."""
    return _bytes(target).decode(errors="replace") if target.startswith("\\x") else target


def _bytes(hexadecimal: str) -> bytes:
    return bytes.fromhex(hexadecimal.replace("\\x", ""))
