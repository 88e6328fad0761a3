"""From what a user types to an origin: a known id, a Hub id with a revision, or a folder."""

import re
from pathlib import Path

from pydantic import ValidationError

from lotterybench.errors import BadRequest
from lotterybench.paths import data_folder
from lotterybench.records import Origin
from lotterybench.registry import unknown
from lotterybench.sources.known import KNOWN


def origin_of(
    where: str, *, name: str | None = None, image: str | None = None, label: str | None = None,
    test: str | None = None, config: str | None = None, by_file: bool = False,
    licence: str | None = None, sealed: bool = False,
) -> Origin:  # fmt: skip
    """Return where and how to read what `where` names.

    `where` is the id of a known dataset, `owner/name[@revision]` on the Hub, or a folder (with a
    slash, or that exists). What is not given is read off the data when it is pinned.
    """
    given = {
        "image_column": image, "label_column": label, "config": config, "licence": licence,
        "split_names": {"train": "train", "test": test} if test else None,
        "key_kind": "encoded" if by_file else None, "id": name, "sealed": sealed or None,
    }  # fmt: skip
    told = {field: value for field, value in given.items() if value is not None}
    if where in KNOWN:
        known = KNOWN[where]
        if known.source != "hub" and set(told) - {"id", "licence"}:
            raise BadRequest(f"{where} is not read from columns; only --id and --licence apply")
        return _origin({**known.model_dump(), **told}, known.id)
    hub = re.fullmatch(r"([\w.-]+/([\w.-]+))@([\w.-]+)|([\w-][\w.-]*/([\w.-]+))", where)
    folder = Path(where)
    if folder.is_dir():
        return _origin({"title": folder.name, **_in_data_folder(folder), **told}, folder.name)
    if hub:
        hub_id, short = hub[1] or hub[4], hub[2] or hub[5]
        return _origin({"title": hub_id, "hub_id": hub_id, "revision": hub[3], **told}, short)
    if "/" in where:
        raise BadRequest(f"there is no folder {where}")
    raise unknown("dataset", where, sorted(KNOWN))


def _origin(fields: dict[str, object], default_id: str) -> Origin:
    given = fields.pop("id", None)
    name = str(given or default_id.lower().replace("_", "-"))
    try:
        return Origin.model_validate({"source": "hub", **fields, "id": name})
    except ValidationError as error:
        raise BadRequest(
            f"{name!r} cannot be the id of a base ({error.errors()[0]['msg']}); give one with --id"
        ) from None


def _in_data_folder(folder: Path) -> dict[str, str]:
    """Return the folder's name within `LOTTERYBENCH_DATA`, where a base is looked for later."""
    root = data_folder()
    if root is None or folder.resolve().parent != root.resolve():
        raise BadRequest(
            "a folder is found again through LOTTERYBENCH_DATA: "
            f"set it to {folder.resolve().parent}"
        )
    return {"folder": folder.name}
