"""The queue of past features: its order, lightly's memory bank as oracle, its size."""

import pytest
import torch
import torch.nn.functional as F
from lightly.models.modules.memory_bank import MemoryBankModule

from lotterybench.methods.base.queue import Queue, at_most


def batches(sizes, seed=0):
    noise = torch.Generator().manual_seed(seed)
    return [F.normalize(torch.randn(size, 4, generator=noise), dim=1) for size in sizes]


def test_it_is_lightlys_memory_bank():
    """Where batches divide the queue: else lightly drops what does not fit before its end."""
    queue, bank = Queue(12, 4, seed=1), MemoryBankModule((12, 4))
    bank.bank.copy_(queue.bank)
    for batch in batches([4] * 8):
        _, negatives = bank(batch, update=True)
        assert torch.equal(queue.exchange(batch), negatives.T)


def test_it_keeps_the_newest():
    queue, seen = Queue(10, 4, seed=0), Queue(10, 4, seed=0).bank
    for batch in batches([4, 3, 7, 1, 10, 2, 25, 6]):
        assert torch.equal(by_value(queue.exchange(batch)), by_value(seen[-10:]))
        seen = torch.cat((seen, batch))
    assert torch.equal(by_value(queue.bank), by_value(seen[-10:]))


def by_value(rows):
    return rows[rows[:, 0].argsort()]


def test_what_is_returned_stays_as_it_was():
    queue = Queue(4, 4, seed=0)
    held = queue.exchange(batches([3])[0])
    before = held.clone()
    queue.exchange(batches([4], seed=1)[0])
    assert torch.equal(held, before)


def test_it_starts_with_random_directions():
    bank = Queue(500, 4, seed=3).bank
    assert torch.allclose(bank.norm(dim=1), torch.ones(500))
    assert bank.mean(0).abs().max() < 0.15
    assert torch.equal(bank, Queue(500, 4, seed=3).bank)
    assert not torch.equal(bank, Queue(500, 4, seed=4).bank)


def test_all_of_it_is_saved():
    first, second = Queue(6, 4, seed=0), Queue(6, 4, seed=1)
    first.exchange(batches([4])[0])
    second.load_state_dict(first.state_dict())
    for batch in batches([4, 5], seed=2):
        assert torch.equal(first.exchange(batch), second.exchange(batch))


@pytest.mark.parametrize(
    ("wanted", "count", "divisor", "want"),
    [(4096, 50_000, 2, 4096), (4096, 1000, 2, 500), (512, 1000, 10, 100), (8, 5, 10, 1)],
)
def test_it_does_not_outgrow_the_data(wanted, count, divisor, want):
    assert at_most(wanted, count, divisor) == want
