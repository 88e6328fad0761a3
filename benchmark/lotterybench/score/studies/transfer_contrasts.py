"""Pairs of sources that differ in one thing: updates, samples, classes, or how they are pruned."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

from lotterybench.score.studies.transfer_scores import Scores, pooled
from lotterybench.studies.transfer import Source
from lotterybench.studies.transfer_report import Contrast, SourceFacts

Pair = tuple[str, Source, Source]


def contrasts_of(scores: Scores, facts: Sequence[SourceFacts]) -> list[Contrast]:
    """Return every such pair of a study, the protocol's equal-update arms first (§10)."""
    sources = set(scores.study.sources)
    pairs = [
        pair
        for source in scores.study.sources
        for pair in _of_updates(source) + _of_pruning(source)
        if {pair[1], pair[2]} <= sources
    ]
    return [_contrast(scores, *pair) for pair in pairs + _of_classes(scores, facts)]


def _of_updates(source: Source) -> list[Pair]:
    """Cross size and updates: of equal updates, of equal epochs, and what updates alone add."""
    if source.updates_of is None:
        return []
    plain = Source(domain=source.domain, in_each=source.in_each)
    larger = Source(domain=source.updates_of, in_each=source.in_each)
    return [
        ("updates", source, plain),
        ("samples, equal updates", source, larger),
        ("samples, equal epochs", plain, larger),
    ]


def _of_pruning(source: Source) -> list[Pair]:
    other = source.model_copy(update={"in_each": False})
    return [("layer-wise", source, other)] if source.in_each else []


def _of_classes(scores: Scores, facts: Sequence[SourceFacts]) -> list[Pair]:
    """Return plain sources of equal samples and updates, the one with fewer classes first."""
    plain = {source.name: source for source in scores.study.sources if source.plain}
    told = [fact for fact in facts if fact.source in plain and fact.labels != "shuffled"]
    return [
        ("classes", plain[a.source], plain[b.source])
        for a, b in permutations(told, 2)
        if (a.samples, a.updates) == (b.samples, b.updates) and a.classes < b.classes
    ]


def _contrast(scores: Scores, question: str, first: Source, second: Source) -> Contrast:
    """Compare on targets that are the own domain of both or of neither, by one optimiser."""
    keys = [
        key
        for key in scores.transfers
        if key.source == first
        and key.found == key.by
        and key._replace(source=second) in scores.transfers
        and (first.domain == key.target) == (second.domain == key.target)
    ]
    pairs = [(scores.transfers[key], scores.transfers[key._replace(source=second)]) for key in keys]
    return Contrast.model_validate(
        {
            "question": question, "first": first.name, "second": second.name, "cells": len(keys),
            "difference": pooled(pairs),
        }
    )  # fmt: skip
