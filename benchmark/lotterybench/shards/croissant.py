"""The Croissant description of a shard folder: tars, images, labels and classes as JSON-LD.

The format is that of mlcommons.org/croissant/1.0. The training split of a config is the record set
of its name, the test split that with `-test` behind it. Each joins two sets of files, images and
labels, by the part of the name that they share.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from lotterybench.records import SPLITS, Base, Split, Subset
from lotterybench.shards.index import Config, ImageKind, Shard
from lotterybench.shards.licence import about, cited

Json = dict[str, Any]
CONTEXT = {
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs",
    "column": "cr:column", "conformsTo": "dct:conformsTo", "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/", "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"}, "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"}, "extract": "cr:extract",
    "field": "cr:field", "fileProperty": "cr:fileProperty", "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet", "format": "cr:format", "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath", "key": "cr:key",
    "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path",
    "recordSet": "cr:recordSet", "references": "cr:references", "regex": "cr:regex",
    "repeated": "cr:repeated", "replace": "cr:replace", "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/", "separator": "cr:separator", "source": "cr:source",
    "subField": "cr:subField", "transform": "cr:transform",
}  # fmt: skip
FORMAT: dict[ImageKind, str] = {"png": "image/png", "jpg": "image/jpeg"}


def croissant(base: Base, image: ImageKind, entries: Sequence[tuple[Config, Subset]]) -> bytes:
    """Return croissant.json; equal configs give equal bytes, wherever the folder lies."""
    classes = _Classes(base)
    tars = _Tars(image)
    records = [
        record
        for config, subset in entries
        for split in SPLITS
        for record in _records(config, subset, split, classes, tars)
    ]
    newest = max(subset.version for _, subset in entries)
    content = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": f"lotterybench-{base.id}",
        "description": f"Versioned subsets of {base.title}, to rank training methods with.",
        "version": f"{newest}.0.0",
        "license": about(base).url or base.licence,
        "citeAs": cited(base),
        "keywords": ["lotterybench", "subset selection", "image classification"],
        "distribution": [*_file_objects(shard for c, _ in entries for shard in _shards(c)),
                         *tars.file_sets],
        "recordSet": [*classes.records, *records],
    }  # fmt: skip
    return (json.dumps(content, indent=1) + "\n").encode()


def _shards(config: Config) -> Iterable[Shard]:
    return (shard for split in SPLITS for shard in config.shards[split])


def _file_objects(shards: Iterable[Shard]) -> list[Json]:
    """Describe each tar once, however many configs share it."""
    distinct = {shard.path: shard for shard in shards}
    return [
        {
            "@type": "cr:FileObject",
            "@id": path,
            "name": path,
            "contentUrl": path,
            "contentSize": f"{shard.bytes} B",
            "encodingFormat": "application/x-tar",
            "sha256": shard.sha256,
        }
        for path, shard in sorted(distinct.items())
    ]


class _Tars:
    """The sets of files in lists of tars; configs with the same list have the same sets."""

    def __init__(self, image: ImageKind) -> None:
        self.image = image
        self.file_sets: list[Json] = []
        self._named: dict[tuple[str, ...], str] = {}

    def named(self, name: str, shards: Sequence[Shard]) -> tuple[str, bool]:
        """Return the name of a list's sets of files, and whether it is new."""
        paths = tuple(shard.path for shard in shards)
        new = paths not in self._named
        if new:
            self._named[paths] = name
            for kind, form in ((self.image, FORMAT[self.image]), ("cls", "text/plain")):
                self.file_sets.append(
                    {
                        "@type": "cr:FileSet",
                        "@id": f"{name}/{kind}",
                        "name": f"{name}/{kind}",
                        "containedIn": [{"@id": path} for path in paths],
                        "encodingFormat": form,
                        "includes": f"*.{kind}",
                    }
                )
        return self._named[paths], new


class _Classes:
    """The record sets of class names; configs with the same classes share one."""

    def __init__(self, base: Base) -> None:
        self.records: list[Json] = []
        self._base = base
        self._named: dict[tuple[str, ...], str] = {}

    def named(self, config: Config) -> str:
        """Return the name of a config's record set of classes."""
        names = tuple(config.class_names)
        if names not in self._named:
            own = config.class_names != self._base.class_names
            found = self._named[names] = f"{config.name}/classes" if own else "classes"
            self.records.append(
                {
                    "@type": "cr:RecordSet",
                    "@id": found,
                    "name": found,
                    "dataType": "sc:Enumeration",
                    "key": {"@id": f"{found}/label"},
                    "field": [
                        _field(f"{found}/label", "sc:Integer"),
                        _field(f"{found}/name", "sc:Text"),
                    ],
                    "data": [
                        {f"{found}/label": label, f"{found}/name": name}
                        for label, name in enumerate(names)
                    ],
                }
            )
        return self._named[names]


def _records(
    config: Config, subset: Subset, split: Split, classes: _Classes, tars: _Tars
) -> list[Json]:
    """Describe a split of a config, and the labels of its tars unless another config has them."""
    name = config.name if split == "train" else f"{config.name}-test"
    files, new = tars.named(name, config.shards[split])
    labels, of = f"{files}/labels", classes.named(config)
    found = []
    if new:
        found.append(
            {
                "@type": "cr:RecordSet",
                "@id": labels,
                "name": labels,
                "key": {"@id": f"{labels}/key"},
                "field": [
                    _field(f"{labels}/key", "sc:Text", _key(files, "cls")),
                    _field(f"{labels}/label", "sc:Integer", _content(files, "cls")),
                ],
            }
        )
    key = _field(f"{name}/key", "sc:Text", _key(files, tars.image))
    image = _field(f"{name}/image", "sc:ImageObject", _content(files, tars.image))
    label = _field(f"{name}/label", "sc:Integer", {"field": {"@id": f"{labels}/label"}})
    key["references"] = {"field": {"@id": f"{labels}/key"}}
    what = "training" if split == "train" else "test"
    found.append(
        {
            "@type": "cr:RecordSet",
            "@id": name,
            "name": name,
            "description": f"The {config.count(split)} {what} samples of {subset.ref}, digest "
            f"{subset.digest}; {of} names the labels.",
            "key": {"@id": f"{name}/key"},
            "field": [key, image, label],
        }
    )
    return found


def _field(name: str, kind: str, source: Json | None = None) -> Json:
    found: Json = {"@type": "cr:Field", "@id": name, "name": name, "dataType": kind}
    return found | ({"source": source} if source else {})


def _key(files: str, kind: str) -> Json:
    return {
        "fileSet": {"@id": f"{files}/{kind}"},
        "extract": {"fileProperty": "filename"},
        "transform": {"regex": rf"^([0-9]{{8}})(?:\.{kind})?$"},  # it is applied again after a join
    }


def _content(files: str, kind: str) -> Json:
    return {"fileSet": {"@id": f"{files}/{kind}"}, "extract": {"fileProperty": "content"}}
