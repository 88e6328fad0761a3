"""What is checked of a submitted subset: its manifest, what chose it, and who may score it."""

import io
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lotterybench.build import build_subset, manifest_problems
from lotterybench.errors import LotteryBenchError
from lotterybench.manifests import find_manifest
from lotterybench.paths import positions_file
from lotterybench.provenance import code_digest
from lotterybench.records import Subset
from lotterybench.selection import selector
from lotterybench.submissions.records import Submission
from lotterybench.submissions.words import shown
from lotterybench.trials import Track

MOST_ROWS = 2_000_000  # samples of the largest base, ImageNet-1k, and some
MOST_COLUMNS = 8
MOST_BYTES = 64 * 2**20  # of the columns, uncompressed
POOL = 12  # configurations that a subset is chosen with, if any is (protocol §6)


def subset_problems(
    record: Submission, folder: Path, tracks: list[Track]
) -> tuple[list[str], list[str]]:
    """Return the problems of a submitted subset and what is to be said of it.

    `folder` holds the files that were taken, `tracks` are those that it is to be scored on.
    """
    file = folder / record.file
    if not file.is_file():
        return [f"entry is {record.file}, which is none of the files that are taken"], []
    if fault := _table_fault(positions_file(file)):
        return [f"{positions_file(Path(record.file)).as_posix()} {fault}"], []
    try:
        subset = Subset.read(file.read_bytes(), record.file)
        found = manifest_problems(file)
    except LotteryBenchError as error:
        return [_inside(str(error), folder)], []
    found = [f"{record.file}: {_inside(one, folder)}" for one in found]
    found += [f"{record.file}: {one}" for one in _record_faults(record, subset)]
    if not found:
        found += _rebuilt_faults(record, subset)
    leaks, notes = _leaks(record, subset, tracks)
    return found + leaks, notes


def _table_fault(file: Path) -> str | None:
    """Look at a table's description before its content is read: few bytes may become many."""
    if not file.is_file():
        return None  # a class list has none; what a manifest needs is told with the manifest
    try:
        table = pq.ParquetFile(io.BytesIO(file.read_bytes()))
        about, schema = table.metadata, table.schema_arrow
        size = sum(about.row_group(n).total_byte_size for n in range(about.num_row_groups))
    except (pa.ArrowException, OSError, ValueError):
        return "cannot be read as Parquet"
    if about.num_rows > MOST_ROWS or len(schema) > MOST_COLUMNS or size > MOST_BYTES:
        return (
            f"holds {about.num_rows} rows of {len(schema)} columns, {size} bytes; at most "
            f"{MOST_ROWS} rows, {MOST_COLUMNS} columns and {MOST_BYTES} bytes are read"
        )
    strange = [field.name for field in schema if not _plain(field.type)]
    return f"has the column {shown(strange[0])}, which is not of numbers" if strange else None


def _plain(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    )


def _record_faults(record: Submission, subset: Subset) -> list[str]:
    """Say where the manifest is not what the submission's record says."""
    found = []
    if subset.base != record.base:
        found.append(f"it is of {subset.base}, the submission says {record.base}")
    if subset.name != record.name:
        found.append(f"it is named {subset.name}, the submission {record.name}")
    if subset.kind == "stream":
        found.append("it is a stream; a submitted subset is the same in every epoch")
    if subset.version < 1:
        found.append("version 0 is a preview; give it version 1")
    if subset.withdrawn is not None or subset.superseded_by is not None:
        found.append("it is withdrawn or superseded")
    asked = record.budget
    if (subset.budget.fraction, subset.budget.classes) != (asked.fraction, asked.classes):
        found.append("its budget is not that of the submission")
    found += _shown_faults(record, subset)
    try:
        there = Subset.read(find_manifest(subset.ref).read_bytes(), subset.ref)
    except LotteryBenchError:
        return found
    if there.digest != subset.digest:
        found.append(f"{subset.ref} is known here and selects something else; take another name")
    return found


def _shown_faults(record: Submission, subset: Subset) -> list[str]:
    """Compare what the record declares with what the manifest says of the choice."""
    says, told = subset.selected_with, record.selected_with
    digests = {*says.recordings, *([says.signals] if says.signals else [])}
    pairs: list[tuple[str, Iterable[object], Iterable[object]]] = [
        ("methods", says.methods, told.methods),
        ("families", {*says.families, *(says.proxy.families if says.proxy else [])}, told.families)
        if says.methods
        else ("families", says.families, told.families),
        ("seeds", {*says.seeds, *says.proxy_seeds}, told.seeds),
        ("signals", digests, told.signals),
        ("labels", [says.labels], [told.labels]),
    ]
    return [
        f"selected_with.{name} is not what the submission's selected_with declares"
        for name, one, other in pairs
        if set(one) != set(other)
    ]


def _rebuilt_faults(record: Submission, subset: Subset) -> list[str]:
    """Build a subset of one of our selectors anew, where that takes no recorded signals."""
    if subset.selector not in selector or selector[subset.selector].spec.reads:
        return []
    if subset.created_with.code != code_digest("selection/**/*.py"):
        return []  # another version's code may choose otherwise
    try:
        again, _ = build_subset(
            subset.base, subset.selector, subset.budget, name=subset.name, seed=subset.seed,
            version=subset.version, settings=subset.settings,
        )  # fmt: skip
    except LotteryBenchError as error:
        return [f"{record.file}: {error}"]
    if again.data_digest() != subset.data_digest():
        return [
            f"{record.file}: {subset.selector} with seed {subset.seed} and these settings selects "
            "something else; a selection of one's own names a selector of one's own"
        ]
    return []


def _leaks(record: Submission, subset: Subset, tracks: list[Track]) -> tuple[list[str], list[str]]:
    """Say which scored families chose the subset (protocol §6): refused, or left out and told."""
    says, told = subset.selected_with, record.selected_with
    methods = {*says.methods, *told.methods}
    proxies = set(says.proxy.families) if says.proxy else set()
    found, notes = [], []
    if 0 < len(methods) < POOL:
        found.append(
            f"the subset was chosen with {len(methods)} configurations; a choose pool has at "
            f"least {POOL} (protocol §6)"
        )
    for track in tracks:
        scored = {entry.family for entry in track.scored()}
        by_name = {entry.family for entry in track.configurations if entry.name in methods}
        shared = sorted(scored & {*says.families, *told.families, *by_name})
        if shared:
            found.append(
                f"{track.name} scores {', '.join(shared[:5])}, which the subset was chosen with; "
                "choose with other families (protocol §6)"
            )
        if left := sorted(scored & proxies - set(shared)):
            notes.append(
                f"{track.name} leaves out {', '.join(left[:5])}: the signals' proxy is of it"
            )
    return found, notes


def _inside(message: str, folder: Path) -> str:
    """Return a message without the place where the files were laid out to be checked."""
    return message.replace(f"{folder}/", "")
