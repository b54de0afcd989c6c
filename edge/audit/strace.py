"""Lines of strace -> what a process wrote, sent, opened for writing, and started."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

CALLS = (
    "openat,open,creat,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,sendmmsg,sendfile,splice,copy_file_range,"
    "connect,execve,execveat,rename,renameat,renameat2,link,linkat,memfd_create"
)
OPTIONS = ("-f", "-yy", "-xx", "-s", "16777216", "-e", f"trace={CALLS}")
"""For `strace`: children too, what descriptors are, all bytes as hexadecimal digits, none left out."""
LINE = re.compile(r"^(?:\[pid +)?(\d+)\]? +(\w+)\((.*)$")
FD = re.compile(r"^(\d+)<(.*?)>(?=[,)]|$)")
STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
FAILED = re.compile(r"= -1 E\w+")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call: its name, its first argument where that is a descriptor (else -1) and what it is (a path,
    ``TCP:[...]``, ``UNIX-...``), the bytes in it, and all of its arguments as strace shows them.
    """

    name: str
    descriptor: int
    target: str
    content: bytes
    arguments: str

    @property
    def path(self) -> str:
        """The path among the arguments, where a call names one."""
        found = [_bytes(each.group(1)) for each in STRING.finditer(self.arguments)]
        return found[0].decode(errors="replace") if found else ""


def calls(lines: Iterable[str]) -> Iterator[Call]:
    """Lines of ``strace`` with `OPTIONS` -> its calls; those that failed changed nothing and are left out,
    but for connections: to have tried is enough.

    ValueError where bytes were cut off: then the record is not complete.
    """
    for line in lines:
        found = LINE.match(line)
        if not found or (found.group(2) != "connect" and FAILED.search(line)):
            continue
        name, arguments = found.group(2), found.group(3)
        strings = list(STRING.finditer(arguments))
        if any(each.group(2) for each in strings):
            raise ValueError(f"strace cut off a string in {name}")
        target = FD.match(arguments)
        sent = strings[:1] if name == "sendto" else strings  # what follows there is the address
        content = b"".join(_bytes(each.group(1)) for each in sent)
        what = _plain(target.group(2)) if target else ""
        yield Call(name, int(target.group(1)) if target else -1, what, content, arguments)


def _plain(what: str) -> str:
    """A descriptor's path, which strace gives in hexadecimal digits too."""
    return _bytes(what).decode(errors="replace") if what.startswith("\\x") else what


def _bytes(hexadecimal: str) -> bytes:
    return bytes.fromhex(hexadecimal.replace("\\x", ""))
