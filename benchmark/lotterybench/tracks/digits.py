"""Digits: small enough for a demonstration, real enough to be wrong about."""

SUBSETS = [
    "digits/uniform-10pct@1",
    "digits/uniform-25pct@1",
    "digits/class-balanced-10pct@1",
    "digits/class-balanced-25pct@1",
    "digits/uniform-5-classes@1",
    "digits/every-2nd-class@1",
]
