"""Datasets that subsets are cut from, read wherever a copy lies and recognised by content."""

from lotterybench.sources import digits as digits
from lotterybench.sources import hub as hub
from lotterybench.sources import part as part
from lotterybench.sources.base import Copy, ImageKind, Images, Listing, image_kind, source
from lotterybench.sources.known import KNOWN
from lotterybench.sources.naming import origin_of
from lotterybench.sources.pinned import encoded, files, images, pin

__all__ = [
    "KNOWN",
    "Copy",
    "ImageKind",
    "Images",
    "Listing",
    "encoded",
    "files",
    "image_kind",
    "images",
    "origin_of",
    "pin",
    "source",
]
