"""Where batches come from: WebDataset tars, for a base that memory does not hold.

An epoch is the tars in a drawn order, sample after sample, from a drawn sample on and round. That
ring is cut into lanes of equal length: one for each of `PARTS` parts of a batch and each of `TURNS`
batches in a row, in a drawn order. Every lane is shuffled through a small buffer, and batch k takes
the next samples of the lanes of turn k mod `TURNS`. A process reads the lanes of its parts, a
worker those of its turns, so every sample comes once, and comes in the same batch however many
processes and workers share the reading (as long as they divide 8). WebDataset's own splitters hand
out whole tars: readers then get different numbers of samples, and some get none where tars are few.
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import webdataset
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Generator, Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from lotterybench.errors import BadShards
from lotterybench.methods.base.data import Resident, Share, batch_sizes
from lotterybench.methods.base.probes import shown_at_once

PARTS = 8  # of a batch; 1, 2, 4 or 8 processes take whole ones
TURNS = 8  # batches until a lane's turn comes again; 1, 2, 4 or 8 workers divide them
BUFFER = 2**28  # bytes of decoded images that all lanes hold for shuffling


class Tar(NamedTuple):
    """A tar of samples `<position>.cls` and `<position>.<image>`, and how many it holds."""

    path: Path
    samples: int


@dataclass(frozen=True)
class Streamed:
    """A training set in tars, decoded by `workers` processes (0: by this one).

    `image` is the extension of the image files. Images become `mode` (RGB or L) and square, of
    `side` pixels; `rows` are the positions that the samples are named by. About `buffer` bytes of
    images are held for shuffling, beside a few batches.
    """

    tars: tuple[Tar, ...]
    image: str
    mode: str
    side: int
    device: torch.device
    workers: int = 4
    buffer: int = BUFFER
    _loaders: dict[tuple[int, Share], DataLoader[Any]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @cached_property
    def count(self) -> int:
        """The number of images to train on."""
        return sum(tar.samples for tar in self.tars)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return len(Image.new(self.mode, (1, 1)).getbands()), self.side, self.side

    @property
    def bytes(self) -> int:
        """What all of it takes, decoded."""
        return self.count * math.prod(self.shape)

    def epoch(
        self, number: int, batch: int, order: Generator, share: Share, skip: int
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, int]]:
        """Yield (images, labels, rows, whole batch's size) of one freshly shuffled epoch.

        Raises `BadShards` for a tar that cannot be read or does not hold what it should.
        """
        seed = int(torch.randint(2**62, (), generator=order, device=order.device))
        sizes = batch_sizes(self.count, batch)
        batches = self._read(batch, sizes, share, seed, skip)
        for (images, labels, rows), whole in zip(batches, sizes[skip:], strict=True):
            yield images, labels, rows, whole

    def once(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield (images, labels, rows) of every sample once, in no order to rely on, unshuffled."""
        batch = shown_at_once(self.side**2)
        whole, rest = divmod(self.count, batch)
        yield from self._read(-1, [batch] * whole + [rest] * (rest > 0), Share(), -1, 0)

    def held(self) -> Held:
        """Read all of it into memory, for a set that is small enough."""
        images, labels, rows = map(torch.cat, zip(*self.once(), strict=True))
        rows, order = rows.sort()
        places = torch.arange(self.count, device=self.device)
        return Held(images[order], labels[order], places, rows)

    def _read(
        self, key: int, sizes: list[int], share: Share, seed: int, skip: int
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        loader = self._loaders.get((key, share))
        if loader is None:
            lasting = seed >= 0 and self.workers > 0
            loader = self._loader(_Reader(self, tuple(sizes), share), lasting)
            if lasting:
                self._loaders[key, share] = loader
        reader: _Reader = loader.dataset  # type: ignore[assignment]
        reader.start.copy_(torch.tensor([seed, skip]))
        try:
            for item in loader:
                if isinstance(item, str):
                    raise BadShards(item)
                images, labels, rows = (part.to(self.device, non_blocking=True) for part in item)
                yield images, labels, rows
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise OSError("a process that reads shards died (killed, or out of memory)") from None

    def _loader(self, reader: _Reader, lasting: bool) -> DataLoader[Any]:
        return DataLoader(
            reader,
            batch_size=None,
            num_workers=self.workers,
            persistent_workers=lasting,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator(),  # its own draws would come from the global generator
        )


@dataclass(frozen=True)
class Held(Resident):
    """A training set read from tars once: `rows` count within it, `names` are its positions."""

    names: Tensor

    def epoch(
        self, number: int, batch: int, order: Generator, share: Share, skip: int
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, int]]:
        """Yield (images, labels, positions, whole batch's size) of one freshly shuffled epoch."""
        for images, labels, rows, whole in super().epoch(number, batch, order, share, skip):
            yield images, labels, self.names[rows], whole


class _Sample(NamedTuple):
    pixels: NDArray[np.uint8]
    label: int
    row: int


class _Reader(IterableDataset[Any]):
    """Yields one process's parts of batches; each of its workers every so-manieth batch.

    `start` is the epoch's seed (-1: do not shuffle) and how many batches to skip, in memory that
    lasting workers share.
    """

    def __init__(self, data: Streamed, sizes: tuple[int, ...], share: Share) -> None:
        super().__init__()
        self.tars, self.image, self.mode, self.side = data.tars, data.image, data.mode, data.side
        self.shape = data.shape
        self.buffer, self.sizes = data.buffer, sizes
        total = PARTS if PARTS % share.world == 0 else share.world
        self.parts = range(total)[share.of(total)]
        ends = np.arange(total + 1) * np.array(sizes)[:, None] // total
        self.part_sizes = np.diff(ends)  # (batches, parts)
        self.start = torch.zeros(2, dtype=torch.int64)
        self.start.share_memory_()  # type: ignore[no-untyped-call]

    def __iter__(self) -> Iterator[Any]:
        """Yield (images, labels, rows) in order, or one line that says what is wrong."""
        info = get_worker_info()
        me, workers = (info.id, info.num_workers) if info else (0, 1)
        seed, skip = self.start.tolist()
        try:
            yield from self._batches(me, workers, seed, skip)
        except Exception as error:  # whatever a damaged tar makes webdataset and Pillow raise
            lines = str(error).splitlines() or [type(error).__name__]
            yield f"shards cannot be read: {lines[0][:300]}"

    def _batches(self, me: int, workers: int, seed: int, skip: int) -> Iterator[Any]:
        turns = TURNS if TURNS % workers == 0 else workers
        lengths = np.stack([self.part_sizes[turn::turns].sum(0) for turn in range(turns)], 1)
        order, line, begin = list(range(len(self.tars))), list(range(lengths.size)), 0
        if seed >= 0:
            drawn = random.Random(seed)
            drawn.shuffle(order)
            drawn.shuffle(line)
            begin = drawn.randrange(sum(self.sizes))
        ends = np.cumsum(lengths.flat[line])
        starts = np.empty_like(lengths)
        starts.flat[line] = begin + ends - lengths.flat[line]  # (parts, turns)
        held = max(1, self.buffer // math.prod(self.shape) // lengths.size)
        lanes: dict[tuple[int, int], Iterator[_Sample]] = {}
        for number in range(skip + me, len(self.sizes), workers):
            samples: list[_Sample] = []
            for part in self.parts:
                wanted, lane = int(self.part_sizes[number, part]), (part, number % turns)
                if wanted and lane not in lanes:
                    done = int(self.part_sizes[:skip][lane[1] :: turns, part].sum())
                    stream = self._lane(order, int(starts[lane]), int(lengths[lane]))
                    rng = random.Random(f"{seed}|{part}|{lane[1]}") if seed >= 0 else None
                    lanes[lane] = self._shuffled(stream, int(lengths[lane]), held, rng, done)
                if wanted:
                    samples += islice(lanes[lane], wanted)
            if len(samples) != int(self.part_sizes[number, self.parts].sum()):
                raise BadShards("a tar holds fewer samples than the index says")
            yield self._collated(samples)

    def _lane(self, order: list[int], start: int, length: int) -> Iterator[dict[str, Any]]:
        """Yield the undecoded samples start … start + length of the tars in their order, twice."""
        order = order * 2
        ends = np.cumsum([self.tars[tar].samples for tar in order])
        first, last = np.searchsorted(ends, [start, start + length - 1], "right")
        into = start - (int(ends[first - 1]) if first else 0)
        paths = [self.tars[tar].path for tar in order[first : last + 1]]
        members = webdataset.tariterators.tar_file_expander(_opened(paths))
        yield from islice(webdataset.tariterators.group_by_keys(members), into, into + length)

    def _shuffled(
        self,
        stream: Iterable[dict[str, Any]],
        length: int,
        held: int,
        rng: random.Random | None,
        done: int,
    ) -> Iterator[_Sample]:
        """Decode a lane and shuffle it through a buffer of `held`, from the sample `done` on.

        What comes before is shuffled as numbers first, so that it need not be decoded.
        """
        if rng is None:
            return map(self._decoded, islice(stream, done, None))
        shuffle = webdataset.shuffle(held, initial=max(1, held // 4), rng=rng)
        past = set()
        if done:
            state = rng.getstate()
            past = set(islice(shuffle(iter(range(length))), done))
            rng.setstate(state)
        decoded = (
            None if place in past else self._decoded(sample) for place, sample in enumerate(stream)
        )
        return islice(shuffle(decoded), done, None)

    def _decoded(self, sample: dict[str, Any]) -> _Sample:
        pixels = decoded(sample[self.image], self.mode, self.side)
        return _Sample(pixels, int(sample["cls"]), int(sample["__key__"]))

    def _collated(self, samples: list[_Sample]) -> tuple[Tensor, Tensor, Tensor]:
        pixels = np.empty((len(samples), *self.shape), np.uint8)
        for place, sample in enumerate(samples):
            pixels[place] = sample.pixels
        labels = torch.tensor([sample.label for sample in samples], dtype=torch.int64)
        rows = torch.tensor([sample.row for sample in samples], dtype=torch.int64)
        return torch.from_numpy(pixels), labels, rows


def _opened(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Open tars as webdataset's own opener does, which leaves it to chance when they are closed."""
    for path in paths:
        with path.open("rb") as stream:
            yield {"url": str(path), "stream": stream}


def decoded(content: bytes, mode: str, side: int) -> NDArray[np.uint8]:
    """Return an image file as square pixels: uint8 (C, side, side).

    An image of that side stays as it is. A square one of a multiple of it is reduced by area means,
    as a base in memory is. Of others the middle is taken and resized (bicubic, anti-aliased), so
    that the shorter side fits.
    """
    with Image.open(io.BytesIO(content)) as file:
        image = file.convert(mode)
    width, height = image.size
    if width == height and width % side == 0:
        pixels = _area_means(np.asarray(image).reshape(width, width, -1), side)
    else:
        image = ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC)
        pixels = np.asarray(image).reshape(side, side, -1)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _area_means(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Shrink an image (H, W, C) to `side` by the mean of each square of pixels, halves up."""
    factor = len(pixels) // side
    if factor == 1:
        return pixels
    squares = pixels.reshape(side, factor, side, factor, -1).astype(np.uint32)
    means: NDArray[np.uint32] = (squares.sum(axis=(1, 3)) + factor**2 // 2) // factor**2
    return means.astype(np.uint8)
