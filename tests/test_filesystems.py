"""What a storage takes is not installed: every way to it says what to install."""

from __future__ import annotations

import sys

import fsspec
import pytest

from redepth.errors import ConfigError
from redepth.filesystems import open_bucket
from redepth.images.collection import list_images
from redepth.store.objects import open_objects


@pytest.fixture(params=["s3fs", "obstore"])
def missing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a package that is not there any more."""
    package: str = request.param
    fsspec.AbstractFileSystem.clear_instance_cache()
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    for module in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    return package


def test_a_listing_says_what_to_install(missing: str) -> None:
    with pytest.raises(ConfigError, match=r"pip install 'redepth\[s3\]'"):
        list(list_images("s3://bucket/photos"))


@pytest.mark.parametrize("missing", ["s3fs"], indirect=True)
def test_an_output_says_what_to_install(missing: str) -> None:
    with pytest.raises(ConfigError, match=r"pip install 'redepth\[s3\]'"):
        open_objects("s3://bucket/labels")


@pytest.mark.parametrize("missing", ["obstore"], indirect=True)
def test_another_store_is_listed_by_the_same_package(missing: str) -> None:
    with pytest.raises(ImportError, match=r"pip install 'redepth\[s3\]'"):
        open_bucket("gs", "bucket")
