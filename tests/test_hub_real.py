"""Publishing to the real Hub and loading from it: what the double cannot promise."""

import json
import os
import secrets

import pytest
from releases import COMMAND, V1, V2, environment, process, toy_releases

pytestmark = pytest.mark.hub

MAKE = """
import sys
from huggingface_hub import HfApi
name = f"{HfApi().whoami()['name']}/{sys.argv[1]}"
HfApi().create_repo(name, repo_type="dataset", private=True)
print(name)
"""
REMOVE = """
import sys
from huggingface_hub import HfApi
HfApi().delete_repo(sys.argv[1], repo_type="dataset", missing_ok=True)
"""
LOAD = """
import sys, datasets
data = datasets.load_dataset(sys.argv[1], "small", split="train", revision=sys.argv[2])
print(len(data), data.features["cls"].names)
"""


def told(code, *arguments, env):
    """Return what a process prints; it must end well."""
    done = process(code, *arguments, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("xet", ["0", "1"], ids=["xet", "lfs"])
def test_two_releases(tmp_path, xet):
    token = os.environ.get("LOTTERYBENCH_HUB_TOKEN")
    if not token:
        pytest.skip("LOTTERYBENCH_HUB_TOKEN is no token that may make and remove repositories")
    where = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    env = environment(where, tmp_path / "home", HF_TOKEN=token, HF_HUB_DISABLE_XET=xet)
    # Images of its own, so that the storage has not seen them before.
    first, second = toy_releases(tmp_path, seed=secrets.randbits(32))
    repo = told(MAKE, f"lotterybench-test-{secrets.token_hex(4)}", env=env)

    def state(folder, tag, *more):
        arguments = ("publish", folder, "--repo", repo, "--tag", tag, "--json", *more)
        return json.loads(told(COMMAND, *arguments, env=env))["state"]

    try:
        assert state(first, V1, "--dry-run") == "planned"
        assert [state(first, V1), state(first, V1)] == ["new", "before"]
        assert [state(second, V2, "--delete"), state(first, V1)] == ["new", "before"]
        other = process(COMMAND, "publish", second, "--repo", repo, "--tag", V1, env=env)
        assert other.returncode == 1 and f"has {V1} already" in other.stderr
        for tag in (V1, V2):
            assert told(LOAD, repo, tag, env=env) == "6 ['class-0', 'class-1', 'class-2']"
    finally:
        told(REMOVE, repo, env=env)
