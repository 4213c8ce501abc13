"""The files of a tar by their names, as unpacking it would leave them.

- `./a.jpg`, `/a.jpg` and `a.jpg` are one file; of several with one name the last remains.
- A hard link, and a symbolic one within the tar, is the file that it leads to. A link that leads
  out of the tar is never followed, whatever lies there.
- A sparse file is not read: its holes are not stored.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from redepth.errors import ImageRejected
from redepth.images.archives.tar_walk import Kind, Member

MAX_LINKS = 40  # that lead to each other, as many as Linux follows
_SPARSE = (
    "is stored as a sparse file in its tar, which is not read: pack the tar again without --sparse"
)
_NO_FILE = "is no file in its tar, but a folder, a device or a part of a file"


class TarContents:
    """Members by the key of their name; memory: some 500 bytes each."""

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}

    def __len__(self) -> int:
        return len(self._members)

    def items(self) -> Iterator[tuple[str, Member]]:
        """Yield keys and members, in the order of their bytes."""
        yield from self._members.items()

    def files(self) -> Iterator[Member]:
        """Yield the members that are no folders."""
        return (member for member in self._members.values() if member.kind is not Kind.FOLDER)

    def add(self, member: Member) -> Member | None:
        """Add a member; returns the earlier one of that name, which it replaces."""
        key = member_key(member.name)
        replaced = self._members.pop(key, None)
        self._members[key] = member
        return replaced

    def get(self, key: str) -> Member | None:
        """Return the member of a key."""
        return self._members.get(key)

    def resolved(self, member: Member) -> Member:
        """Return the file that a member is, or leads to.

        Raises:
            ImageRejected: it is sparse, or a link that leads to no file of the tar.
        """
        found: Member | None = member
        for _ in range(MAX_LINKS):
            if found is None:
                raise ImageRejected(f"is a link to {member.target!r}, which is not in its tar")
            if found.kind is Kind.FILE:
                return found
            found = self._members.get(_target_key(found))
        raise ImageRejected(f"is a link to {member.target!r}, which leads in a circle")


def member_key(name: str) -> str:
    """Return a name as it is compared: without what means the same folder."""
    if "/" not in name:
        return name
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def uri_name(name: str) -> str:
    """Return a member's name as its uri holds it, where `::` parts the links of a chain."""
    return name.replace("::", ":%3A")


def within(name: str, target: str) -> str | None:
    """Return the key of what a symbolic link of that name leads to; None out of the archive."""
    folder = posixpath.dirname(member_key(name))
    key = posixpath.normpath(posixpath.join(folder, target))
    return None if key.startswith(("/", "../")) else key


def _target_key(member: Member) -> str:
    """Return the key of what a link leads to.

    Raises:
        ImageRejected: it leads out of the tar, or is no link.
    """
    if member.kind is Kind.HARD_LINK:
        return member_key(member.target)
    if member.kind is Kind.SPARSE:
        raise ImageRejected(_SPARSE)
    if member.kind is not Kind.SYMBOLIC_LINK:
        raise ImageRejected(_NO_FILE)
    target = within(member.name, member.target)
    if target is None:
        raise ImageRejected(
            f"is a link to {member.target!r}, out of its tar: such links are never followed"
        )
    return target
