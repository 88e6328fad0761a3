"""Memory is bounded: by the base where it is held, and by the buffers where it is streamed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from lotterybench.shards.members import write_tar
from lotterybench.shards.png import encode

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
MIB = 2**20

# ru_maxrss would be the largest of this process and of what it was forked from, the tests' own.
RESIDENT = """
import torch
torch.set_num_threads(1)
from lotterybench.kinds import execute
from lotterybench.run import plan
from lotterybench.trials import Configuration, Seeds, Track
from pathlib import Path
track = Track(
    schema_version=1, name="memory", version=1, title="Memory", base="cifar100", kind="ranking",
    probe="frozen", metric="knn", seeds=Seeds(full=1, subset=1),
    subsets=["cifar100/uniform-10pct@1"],
    configurations=[
        Configuration(name=b, family=f"supervised/{b}", method="supervised",
                      config={"backbone": b, "lr": 0.01, "epochs": 1, "batch": 128})
        for b in ("vit", "mixer")
    ],
)
Path("memory.json").write_bytes(track.pretty())
arm = plan(track, Path("out"), full=False, only=["vit"])[0]
done = next(execute(arm.runs[:1], "cpu"))
assert done.result.status == "ok", done.result.reason
status = Path("/proc/self/status").read_text()
print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""

STREAMED = """
import sys, torch
from pathlib import Path
torch.set_num_threads(1)
from lotterybench.methods import Task, method
from lotterybench.methods.base import probes
from lotterybench.methods.base.loop import train
from lotterybench.methods.base.stream import Streamed, Tar
folder, each = Path(sys.argv[1]), int(sys.argv[2])
tars = tuple(Tar(path, each) for path in sorted(folder.glob("*.tar")))
data = Streamed(tars, "png", "RGB", 64, torch.device("cpu"), 2)
assert data.bytes > 1.5 * data.buffer
task = Task(data, 10, True, "run")

class Tiny(torch.nn.Module):
    num_features = 48
    def __init__(self):
        super().__init__()
        self.pool, self.out = torch.nn.AvgPool2d(16), torch.nn.Linear(48, 10)
    def forward(self, images):
        return self.pool(images).flatten(1)

from lotterybench.methods.base.augment import normalise
from lotterybench.methods.base.shape import Learner, Schedule
import torch.nn.functional as F
net = Tiny()
loss = lambda b: F.cross_entropy(net.out(net(normalise(b.images))), b.labels)
train(task, Learner(net, net, loss, Schedule(1, 0.1, 256, "sgd", 0.0)))
del data, task
data = Streamed(tars, "png", "RGB", 64, torch.device("cpu"), 2)
found = probes.features_of(net, ((i, r) for i, _, r in data.once()), data.count)
assert found.shape == (data.count, 48) and found.abs().sum(1).gt(0).all()
print(data.count)
"""


def resident(process):
    """Return a process's part of resident memory, in bytes: what several share counts once.

    Else the pages of torch's libraries would count in each of three processes.
    """
    shown = process.memory_full_info()
    return getattr(shown, "pss", shown.rss)


def environment(**more):
    return {
        **os.environ, "PYTHONPATH": str(ROOT / "benchmark"), "OMP_NUM_THREADS": "1",
        "PYTHONWARNINGS": "ignore", **more,
    }  # fmt: skip


def test_a_resident_run_takes_less_than_1500_mib(real_data, tmp_path):
    """Train on 32-pixel CIFAR-100 and probe all of it; the second time, when it is decoded."""
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", RESIDENT], cwd=tmp_path, capture_output=True, text=True,
            check=False, timeout=900, env=environment(),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        peak = int(done.stdout)
    assert peak < 1500, f"{peak} MiB"


def test_a_stream_takes_less_than_2000_mib(tmp_path):
    """35,000 images of 64 pixels, 410 MiB decoded, through a buffer of 256; workers counted."""
    each, tars = 500, 70
    noise = np.random.default_rng(0)
    pictures = [encode(noise.integers(0, 256, (64, 64, 3), dtype=np.uint8)) for _ in range(50)]
    for number in range(tars):
        rows = range(number * each, (number + 1) * each)
        write_tar(
            tmp_path / f"{number:03d}.tar",
            (
                member
                for row in rows
                for member in (
                    (f"{row:08d}.cls", str(row % 10).encode()),
                    (f"{row:08d}.png", pictures[row % 50]),
                )
            ),
        )
    command = [sys.executable, "-c", STREAMED, str(tmp_path), str(each)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        peak, most = 0, 0
        while process.poll() is None:
            family = [psutil.Process(process.pid)]
            family += family[0].children(recursive=True)
            total = 0
            for member in family:
                try:
                    total += resident(member)
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
            peak, most = max(peak, total), max(most, len(family))
            time.sleep(0.1)
        out, error = process.communicate()
    assert process.returncode == 0, error
    assert int(out) == each * tars
    assert most == 3
    assert peak < 2000 * MIB, f"{peak // MIB} MiB"
