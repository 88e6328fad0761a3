"""Licences that submissions may have, as SPDX identifiers: open ones, for code and for data."""

CODE = (
    "0BSD", "AGPL-3.0-only", "AGPL-3.0-or-later", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause",
    "BSL-1.0", "EUPL-1.2", "GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later",
    "ISC", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later", "MIT",
    "MIT-0", "MPL-2.0", "UPL-1.0", "Unlicense", "Zlib",
)  # fmt: skip
DATA = ("CC-BY-4.0", "CC-BY-SA-4.0", "CC0-1.0", "ODC-By-1.0", "ODbL-1.0", "PDDL-1.0")


def licences_of(kind: str) -> tuple[str, ...]:
    """Return what a submission of a kind may be licensed under: a manifest is data."""
    return DATA if kind == "subset" else CODE
