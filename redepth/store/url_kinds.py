"""Which kinds of URL an output may have: what they cannot do would look like labels that are lost.

A cache in front of a storage never learns what is committed later; a tar is read from its beginning
for every map. A chained URL is judged by each of its links.
"""

from __future__ import annotations

from redepth.errors import ConfigError
from redepth.redaction import shown

# Links of a chained URL through which labels are read.
_READ_THROUGH = ("zip",)
_CACHE = (
    "it keeps copies that never learn of what is committed later; leave {link!r} out of the URL"
)
_UNPACK = "it has no index to read maps by; unpack it (tar -xf), or pack the labels as a zip"
_ADVICE = {
    "blockcache": _CACHE,
    "cached": _CACHE,
    "filecache": _CACHE,
    "simplecache": _CACHE,
    "libarchive": _UNPACK,
    "tar": _UNPACK,
    "data": "it cannot hold a folder; copy the labels' folder to a disk or a bucket",
}
_ELSE = "it cannot be listed and read as a folder; name the labels' own folder, bucket or server"


def require_kind(url: str) -> None:
    """Refuse a URL of a kind that labels are not read from.

    Raises:
        ConfigError: names the link of the URL, says why and what to do.
    """
    *outer, place = url.split("::")
    for link in outer:
        if _protocol(link) not in _READ_THROUGH:
            raise _refused(url, _protocol(link))
    first = _protocol(place)
    if ("://" in place or place.startswith("data:")) and first in {*_ADVICE, "dir", "reference"}:
        raise _refused(url, first)


def _protocol(link: str) -> str:
    return link.partition(":")[0].lower()


def _refused(url: str, link: str) -> ConfigError:
    advice = _ADVICE.get(link, _ELSE).format(link=link)
    return ConfigError(f"{shown(url)}: labels are not read through {link!r}: {advice}")
