"""Fixtures that many tests share: a home of their own, toy data, and the real data if they lie."""

import os
from pathlib import Path

# Read at import time by huggingface_hub and datasets: no test may reach a network or a user's home.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
# CI=true makes rich believe in a terminal.
os.environ.pop("CI", None)
# Tests run in as many processes as there are cores; two thread pools on one core stall each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from releases import point_at
from toys import need, toy_images, write_toy

ROOT = Path(__file__).parents[1]
REAL = Path(os.environ.get("LOTTERYBENCH_DATA", ROOT.parent / "shared" / "data")).absolute()


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory):
    """Give the session caches of its own, in the environment so that subprocesses share them."""
    folder = tmp_path_factory.mktemp("home")
    patch = pytest.MonkeyPatch()
    patch.setenv("LOTTERYBENCH_CACHE", str(folder / "cache"))
    patch.setenv("HF_HOME", str(folder / "hf"))
    patch.setenv("HF_DATASETS_CACHE", str(folder / "hf" / "datasets"))
    patch.delenv("LOTTERYBENCH_SUBSETS", raising=False)
    patch.delenv("LOTTERYBENCH_DATA", raising=False)
    import datasets

    patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "hf" / "datasets")
    datasets.disable_progress_bars()
    yield folder
    patch.undo()


@pytest.fixture
def real_data(monkeypatch):
    """Point LOTTERYBENCH_DATA at the real CIFAR images, if they are on this machine."""
    there = (REAL / "cifar100").is_dir()
    need("data", there, f"no cifar100 in {REAL}; set LOTTERYBENCH_DATA")
    monkeypatch.setenv("LOTTERYBENCH_DATA", str(REAL))
    return REAL


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Pin a toy base from a folder; return (data folder, subsets folder)."""
    from lotterybench.manifests import save_base
    from lotterybench.sources import origin_of, pin

    data, subsets = tmp_path / "data", tmp_path / "subsets"
    write_toy(data / "toy", *toy_images())
    monkeypatch.setenv("LOTTERYBENCH_DATA", str(data))
    monkeypatch.setenv("LOTTERYBENCH_SUBSETS", str(subsets))
    save_base(*pin(origin_of(str(data / "toy"))), subsets)
    return data, subsets


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The client's cache, one a test: commits of the double have equal ids in every test."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def hub(monkeypatch, cache):
    """A double of the Hub, to which the client in this process talks; its retries do not wait."""
    import time
    from types import SimpleNamespace

    import huggingface_hub
    from hub_double import Hub

    huggingface_hub.close_session()
    huggingface_hub.utils.disable_progress_bars()
    no_wait = SimpleNamespace(time=time.time, sleep=lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.utils._http.time", no_wait)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    with Hub() as double:
        point_at(monkeypatch, double.url)
        yield double
    huggingface_hub.close_session()
    huggingface_hub.utils.enable_progress_bars()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two releases of toy shards: the second has the subset `new` instead of `old`."""
    from releases import toy_releases

    return toy_releases(tmp_path_factory.mktemp("releases"))


@pytest.fixture
def repo(hub):
    """An empty repository in the double."""
    from releases import REPO

    return hub.create(REPO)


@pytest.fixture
def one_thread():
    """One thread for torch, so that sums have one order."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits():
    """All images of digits, uint8 (1797, 1, 8, 8), and their labels int64."""
    import torch
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = torch.from_numpy((pixels * (255 / 16)).round().astype("uint8")).view(-1, 1, 8, 8)
    return images, torch.from_numpy(labels).long()
