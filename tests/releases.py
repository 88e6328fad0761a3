"""Toy releases to publish, and clients of a Hub in processes of their own."""

import hashlib
import os
import subprocess
import sys

import pytest
from hub_answers import LARGE, Entry
from toys import toy_images, write_toy

REPO, V1, V2 = "org/bench", "v1.0.0", "v2.0.0"
COMMAND = "import sys; from lotterybench.cli import main; sys.argv[0] = 'lotterybench'; main()"


def toy_releases(home, seed=0):
    """Write two folders of shards: both have the subset small, one has old and one has new."""
    from lotterybench.build import build_subset, save_subset
    from lotterybench.manifests import save_base
    from lotterybench.records import Budget
    from lotterybench.shards import write_shards
    from lotterybench.sources import origin_of, pin

    data, subsets = home / "data", home / "subsets"
    write_toy(data / "toy", *toy_images(seed=seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOTTERYBENCH_DATA", str(data))
        patch.setenv("LOTTERYBENCH_SUBSETS", str(subsets))
        save_base(*pin(origin_of(str(data / "toy"))), subsets)
        for number, (name, count) in enumerate({"small": 6, "old": 12, "new": 12}.items()):
            subset = build_subset("toy", "uniform", Budget(count=count), name=name, seed=number)
            save_subset(*subset, subsets)
        for version, other in ((1, "old"), (2, "new")):
            write_shards(["toy/small", f"toy/{other}"], home / f"v{version}", per_shard=8)
    return home / "v1", home / "v2"


def inside(folder):
    """Return the bytes of a folder's files, by path."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def content(hub, tree):
    """Return the bytes of a commit's files in the double, without the one that the Hub makes."""
    return {
        path: hub.objects[entry.sha256] if entry.content is None else entry.content
        for path, entry in tree.items()
        if path != ".gitattributes"
    }


def deliver(hub, repo, folder, tag, **changes):
    """Commit a folder's files to the double and tag them, unchecked; return the commit.

    `changes` are other bytes for files, by path, or None for one that is left out.
    """
    tree = {".gitattributes": repo.find("main").tree[".gitattributes"]}
    for path, text in (inside(folder) | changes).items():
        if text is None:
            continue
        sha256 = hashlib.sha256(text).hexdigest()
        if path.endswith(LARGE):
            hub.objects[sha256] = text
            tree[path] = Entry(None, sha256, len(text))
        else:
            tree[path] = Entry(text)
    repo.tags[tag] = repo.add(tree, f"Release {tag}")
    return repo.tags[tag]


def point_at(patch, url):
    """Let the client in this process talk to the server at `url`."""
    patch.setattr("huggingface_hub.constants.ENDPOINT", url)
    form = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    patch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", form)


def environment(url, home, **more):
    """Return the environment of a client of the server at `url`, with a home of its own.

    The client reads it when it is imported.
    """
    own = {
        "HF_ENDPOINT": url, "HF_HOME": str(home), "HF_DATASETS_CACHE": str(home / "datasets"),
        "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
    return {**os.environ, **own, **more}


def process(code, *arguments, env):
    """Run code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=env, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
