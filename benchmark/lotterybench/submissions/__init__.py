"""Submissions from outside: their records and checks, the sandbox that reruns them, sending them.

records.py     `submission.toml`, and reading.py one that a stranger wrote; words.py what text may
               hold; licences.py which are open
files.py       which files of a folder are taken, and their digest
entry.py       what is told of code without running it
manifest.py    what is checked of a subset
playing.py     player.py started inside the sandbox: submitted code, inputs in, arrays out
method.py      a method in its boxes: one trains, others show images to the encoder
trial.py       code run on digits, with trial_data.py
checking.py    all of it, every problem listed
drafts.py      folders to begin with
sending.py     a pull request, with pull_requests.py and summary.py
sandbox/       reruns that trust nothing
referee/       what is sent, rerun and scored

Nothing is imported here: player.py starts in a fresh process for every trial.
"""
