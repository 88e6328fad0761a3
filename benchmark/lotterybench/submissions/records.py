"""The record of a submission, `submission.toml`."""

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from lotterybench.schema import SLUG, Record, Sha256, Slug
from lotterybench.signals import EPOCHS, SAMPLES
from lotterybench.submissions import words
from lotterybench.submissions.licences import licences_of

RECORD = "submission.toml"
NOBODY = "Your Name"  # the author that a draft names

Kind = Literal["subset", "selector", "method"]
KINDS: tuple[Kind, ...] = ("subset", "selector", "method")
# Seconds that the referee gives: for one selection, for one training on a base as large as CIFAR.
SECONDS = {"selector": 3600, "method": 14400}
# Whose field it is, where not everybody's.
HAVING = {
    "reads": {"selector"}, "labels": {"selector", "method"}, "settings": {"selector", "method"},
    "selected_with": {"subset"},
}  # fmt: skip
# What may be claimed, and between which bounds it lies.
FIGURES: dict[str, tuple[float, float]] = {
    "tau-b": (-1, 1), "rho": (-1, 1), "weighted-tau": (-1, 1), "top-half-tau": (-1, 1),
    "pair-agreement": (0, 1), "regret": (0, 100), "accuracy": (0, 100), "cost-ratio": (0, 10),
}  # fmt: skip
PRAC = tuple(name for name in SAMPLES if name.startswith("prac_"))
SIGNALS = tuple(sorted({*EPOCHS, *SAMPLES} - {*PRAC}))  # what a selector may ask for

WORD = "A-Za-z0-9_"
WEB = rf"https://[{WORD}./?=&%~+:#-]+"
PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"  # of a path in a submission
Line = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(words.plain_line)]
Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(words.name)]
Text = Annotated[str, Field(min_length=1, max_length=4000), AfterValidator(words.plain_text)]
Contact = Annotated[
    str, Field(max_length=200, pattern=rf"^([{WORD}.+-]+@[{WORD}-]+(\.[{WORD}-]+)+|{WEB})$")
]
Entry = Annotated[
    str, Field(max_length=200, pattern=rf"^({PART}/)*{PART}(\.json|\.py:[A-Za-z_][A-Za-z0-9_]*)$")
]
Paper = Annotated[
    str, Field(max_length=200, pattern=rf"^(10\.[0-9]{{4,9}}/[{WORD}.;()/:-]+|{WEB})$")
]
SubsetRef = Annotated[str, Field(max_length=170, pattern=rf"^{SLUG}/{SLUG}@[0-9]{{1,4}}$")]
SettingName = Annotated[str, Field(max_length=40, pattern=r"^[a-z][a-z0-9_]*$")]
Number = int | float
Checked = TypeVar("Checked")
Setting = bool | Number | Line | Annotated[list[Number], Field(max_length=64)]


class Written(Record):
    """A record that people write by hand: a number in quotes is no number."""

    model_config = ConfigDict(strict=True)


class Author(Written):
    """Who made it; `contact` is an e-mail address or a web page."""

    name: Name
    contact: Contact | None = None
    affiliation: Name | None = None


class Asked(Written):
    """The budget asked for: what part is selected, and the seconds that the code may take.

    A subset or a selector gives exactly one of `fraction` (of the training samples) and `classes`
    (a number of them); a method is run on full data and on every primary subset, and gives none.
    `seconds` are of one call of the code.
    """

    fraction: float | None = Field(default=None, gt=0, le=1)
    classes: int | None = Field(default=None, ge=2)
    seconds: int | None = Field(default=None, ge=1)


class Bounds(Written):
    """The interval of a claim: one-sided 95 % bounds."""

    low: float
    high: float


class Claim(Written):
    """A figure that the authors measured; the referee measures its own.

    `subset` is `base/name@version`, or absent for full data. `how` says in words how it was
    measured: seeds, epochs, the number of methods.
    """

    track: Slug
    subset: SubsetRef | None = None
    figure: str
    value: float
    interval: Bounds | None = None
    how: Line

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if self.figure not in FIGURES:
            raise ValueError(f"figure is one of {', '.join(FIGURES)}")
        low, high = FIGURES[self.figure]
        span = [self.value]
        if self.interval is not None:
            span = [self.interval.low, self.value, self.interval.high]
        if span != sorted(span):
            raise ValueError("the value lies outside its interval")
        if not low <= span[0] <= span[-1] <= high:
            raise ValueError(f"{self.figure} lies between {low:g} and {high:g}")
        return self


class Shown(Written):
    """What a subset was chosen with: methods with their families and seeds, signals, labels.

    The families (objective group / backbone group, as tracks name them) are never scored on it.
    """

    methods: list[Line] = Field(default=[], max_length=200)
    families: list[Line] = Field(default=[], max_length=200)
    seeds: list[Annotated[int, Field(ge=0)]] = Field(default=[], max_length=1000)
    signals: list[Sha256] = Field(default=[], max_length=200)
    labels: bool = False

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if bool(self.methods) != bool(self.families):
            raise ValueError("it names methods and their families, or neither")
        return self


class Submission(Written):
    """Code or a manifest from outside, to be rerun by the referee.

    `entry` is `file.py:function` of a selector or a method, and the path of the manifest of a
    subset. `base` is what it is meant for, `track` where it is to be scored (default: every track
    of the base). `settings` are keyword arguments of the function. `reads` names the signals that
    a selector is given, `labels` says whether the code is given the training labels. `supersedes`
    names an earlier submission of the same authors, whose place it takes once it is verified.
    """

    schema_version: Literal[1]
    name: Slug
    kind: Kind
    licence: str
    authors: list[Author] = Field(min_length=1, max_length=50)
    description: Text
    paper: Paper | None = None
    entry: Entry
    base: Slug
    track: Slug | None = None
    budget: Asked = Field(default=Asked(), validate_default=True)
    settings: dict[SettingName, Setting] = Field(default={}, max_length=32)
    reads: list[str] = Field(default=[], max_length=len(SIGNALS))
    labels: bool = False
    selected_with: Shown = Shown()
    claims: list[Claim] = Field(default=[], max_length=50)
    supersedes: Slug | None = None

    @property
    def file(self) -> str:
        """The path of the entry's file in the folder."""
        return self.entry.partition(":")[0]

    @property
    def function(self) -> str:
        """The name of the entry's function; empty for a manifest."""
        return self.entry.partition(":")[2]

    # The kind comes before the fields that depend on it, so that each fault is told by itself.

    @field_validator("licence")
    @classmethod
    def _open(cls, licence: str, info: ValidationInfo) -> str:
        kind = info.data.get("kind")
        if kind is not None and licence not in licences_of(kind):
            what = "data" if kind == "subset" else "code"
            raise ValueError(f"a {kind} is {what}, under one of {', '.join(licences_of(kind))}")
        return licence

    @field_validator("entry")
    @classmethod
    def _found(cls, entry: str, info: ValidationInfo) -> str:
        kind, faults = info.data.get("kind"), []
        if kind is not None and (":" in entry) != (kind != "subset"):
            form = "the path of a manifest" if kind == "subset" else "file.py:function"
            faults.append(f"of a {kind} it is {form}")
        if ".." in entry:
            faults.append("it has '..' in it; it is a file of the folder")
        return _sound(entry, faults)

    @field_validator("budget")
    @classmethod
    def _fits(cls, asked: Asked, info: ValidationInfo) -> Asked:
        kind, faults = info.data.get("kind"), []
        if kind is None:
            return asked
        most = SECONDS.get(kind)
        given = [one for one in (asked.fraction, asked.classes) if one is not None]
        if kind == "method" and given:
            faults.append("a method has no fraction or classes: it is run on full data, too")
        if kind != "method" and len(given) != 1:
            faults.append("it has exactly one of fraction and classes")
        if most is None and asked.seconds is not None:
            faults.append("a subset runs no code; leave seconds out")
        if most is not None and not 1 <= (asked.seconds or 0) <= most:
            faults.append(f"it has seconds, from 1 to {most} for a {kind}")
        return _sound(asked, faults)

    @field_validator("reads")
    @classmethod
    def _known(cls, reads: list[str]) -> list[str]:
        faults = []
        strange = [name for name in reads if name not in SIGNALS]
        if strange:
            faults.append(
                f"there is no signal {words.shown(strange[0])}; there are {', '.join(SIGNALS)}"
            )
        if len(set(reads)) < len(reads):
            faults.append("a signal is named twice")
        return _sound(reads, faults)

    @field_validator("supersedes")
    @classmethod
    def _other(cls, old: str | None, info: ValidationInfo) -> str | None:
        own = old is not None and old == info.data.get("name")
        return _sound(old, ["it is its own name; a new version takes a new one"] if own else [])

    @field_validator("reads", "labels", "settings", "selected_with")
    @classmethod
    def _has(cls, value: Any, info: ValidationInfo) -> Any:
        kind, field = info.data.get("kind"), info.field_name
        faults = []
        if kind is not None and kind not in HAVING[str(field)] and value not in (False, [], {}):
            faults.append(f"a {kind} has no {field}")
        return _sound(value, faults)


def _sound(value: Checked, faults: list[str]) -> Checked:
    """Return a value without faults; raise `ValueError` with all of them."""
    if faults:
        raise ValueError("; ".join(faults))
    return value
