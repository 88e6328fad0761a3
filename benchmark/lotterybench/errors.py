"""What can go wrong and is the caller's to mend; each message names the fault and the remedy.

LotteryBenchError
├── UnknownName     no such base, subset, selector, method or track
├── BadRequest      the arguments contradict each other or the data
├── BadRecord       a manifest, track or base record that breaks its own rules
├── BadData         images that are missing, unreadable or not those that were pinned
├── BadShards       a shard folder that is incomplete or was changed
├── BadSubmission   what a submission leaves is not what it may leave
├── BadResults      a results file that cannot be read or joined
├── HubError        the Hub refuses, fails or cannot be reached
├── Busy            another process holds the file
└── NoSpace         the disk is full
"""


class LotteryBenchError(Exception):
    """A fault that the user can mend; the command line prints it as one line and exits with 1."""


class UnknownName(LotteryBenchError):
    """No such base, subset, selector, method or track."""


class BadRequest(LotteryBenchError):
    """The arguments contradict each other or the data."""


class BadRecord(LotteryBenchError):
    """A manifest, track or base record that breaks its own rules."""


class BadData(LotteryBenchError):
    """Images that are missing, unreadable or not those that were pinned."""


class BadShards(LotteryBenchError):
    """A shard folder that is incomplete or was changed."""


class BadSubmission(LotteryBenchError):
    """What a submission left is not what it may leave."""


class BadResults(LotteryBenchError):
    """A results file that cannot be read or joined."""


class HubError(LotteryBenchError):
    """The Hub refuses, fails or cannot be reached."""


class Busy(LotteryBenchError):
    """Another process holds the file."""


class NoSpace(LotteryBenchError):
    """The disk is full."""
