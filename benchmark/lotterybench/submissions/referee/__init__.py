"""The referee: submissions taken in, rerun, scored outside, and written down.

records.py     a round, a rerun, a claim beside what was measured, the audit trail
workplace.py   where all of it lies
rerunning.py   one submission from its folder to its record: taking.py its files in, selecting.py a
               selector in boxes, scoring.py the runs, stopping.py why it ends before that
seeds.py       the secret of a round, and the numbers that come of it
auditing.py    who did what
figures.py     what a rerun measured, in a line per track
claims.py      claims beside that, and twins.py who else did the same
queue.py       open pull requests taken up: pulls.py the Hub, replies.py what is said there,
               committing.py what main is given
drift.py       reference methods run again, which may block a round
ending.py      withdrawn, superseded, closed
training.py    a method trained in boxes, with probing.py its scores and lines
standing.py    where a method would stand on a board that does not rank it
"""
