"""The live table of a suite of runs: what runs now, what ended last, and what is left."""

import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from statistics import mean

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lotterybench.cli.output import notes
from lotterybench.executors import Ended, Event, Started
from lotterybench.kinds import Done, Run

LAST = 6  # finished runs that are shown
NOW = 8  # running ones
COLOURS = {"ok": "green", "invalid": "yellow", "infra": "magenta"}  # any other failure is red


def draw_suite(events: Iterable[Event], runs: Sequence[Run], what: str) -> Iterator[Event]:
    """Draw a table while runs begin and end; nothing where nobody looks, or for no runs."""
    if not notes.is_terminal or not runs:
        yield from events
        return
    suite = Suite(runs, what)
    with Live(
        get_renderable=suite.picture, console=notes, transient=True, refresh_per_second=2,
        redirect_stdout=False, redirect_stderr=False,
    ):  # fmt: skip
        for event in events:
            suite.tell(event)
            yield event


class Suite:
    """What has become of a suite's runs by now."""

    def __init__(self, runs: Sequence[Run], what: str) -> None:
        self.runs, self.what = list(runs), what
        self.began = time.monotonic()
        self.now: dict[str, tuple[Run, float]] = {}
        self.last: deque[tuple[Run, Done]] = deque(maxlen=LAST)
        self.statuses: Counter[str] = Counter()
        self.seconds: dict[str, list[float]] = {}
        self.widest = 1
        self._left = Counter(map(_arm, self.runs))

    def tell(self, event: Event) -> None:
        """Take note of a run's beginning or end."""
        if isinstance(event, Started):
            self.now[event.run.key] = (event.run, time.monotonic())
            self.widest = max(self.widest, len(self.now))
        elif isinstance(event, Ended):
            _, began = self.now.pop(event.run.key, (event.run, time.monotonic()))
            self.seconds.setdefault(_arm(event.run), []).append(time.monotonic() - began)
            self._left[_arm(event.run)] -= 1
            self.statuses[event.done.result.status] += 1
            self.last.append((event.run, event.done))

    def left(self) -> float | None:
        """Return the seconds that the rest will take: each arm's mean so far, else that of all.

        None as long as no run has ended.
        """
        every = [value for values in self.seconds.values() for value in values]
        if not every:
            return None
        rest = sum(
            count * mean(self.seconds.get(arm) or every) for arm, count in self._left.items()
        )
        now = time.monotonic()
        spent = sum(
            min(now - began, mean(self.seconds.get(_arm(run)) or every))
            for run, began in self.now.values()
        )
        return (rest - spent) / self.widest

    def picture(self) -> RenderableType:
        """Return the whole display."""
        done = self.statuses.total()
        left = self.left()
        head = Table.grid(padding=(0, 2))
        head.add_row(
            Text(self.what, "bold"),
            ProgressBar(len(self.runs), done, width=20),
            f"{done} of {len(self.runs)}",
            f"{_clock(time.monotonic() - self.began)} gone",
            "" if left is None else f"{_clock(left)} left",
        )
        return Group(head, self._counts(), self._table())

    def _counts(self) -> Text:
        parts = [
            Text(f"{count} {status}", COLOURS.get(status, "red"))
            for status, count in sorted(self.statuses.items(), key=lambda item: -item[1])
        ]
        return Text("  ").join(parts)

    def _table(self) -> Table:
        rows = Table(box=None, pad_edge=False, header_style="dim", expand=False)
        for title in ("arm", "configuration", "seed", "seconds", "status", "result"):
            right = title in ("seed", "seconds")
            # Where the terminal is narrow, the result gives way first.
            wraps = title == "result"
            rows.add_column(title, justify="right" if right else "left", no_wrap=not wraps)
        for run, done in self.last:
            result = done.result
            colour = COLOURS.get(result.status, "red")
            rows.add_row(
                *_named(run), f"{done.seconds:.1f}", Text(result.status, colour), _found(run, done)
            )
        now = time.monotonic()
        for run, began in list(self.now.values())[:NOW]:
            rows.add_row(*_named(run), f"{now - began:.0f}", Text("running", "cyan"))
        if len(self.now) > NOW:
            rows.add_row(Text(f"and {len(self.now) - NOW} more", "dim"))
        return rows


def _arm(run: Run) -> str:
    return f"{run.subset.name}@{run.subset.version}" if run.subset else "full"


def _named(run: Run) -> tuple[str, str, str]:
    return _arm(run), run.configuration.name, str(run.seed)


def _found(run: Run, done: Done) -> Text:
    """Return the headline metric, or the reason why there is none."""
    metric, result = run.track.metric, done.result
    if metric in result.metrics:
        flags = f"  {', '.join(result.flags)}" if result.flags else ""
        found = Text(f"{metric} {result.metrics[metric]:.2f}{flags}")
    else:
        found = Text(result.reason or "", "dim")
    found.no_wrap, found.overflow = True, "ellipsis"
    return found


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
