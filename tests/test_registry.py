"""Registries: names are unique, wrong ones get a hint, lazy things load on use."""

import pytest

from lotterybench.errors import UnknownName
from lotterybench.registry import Registry


def test_adding_and_finding():
    colours = Registry("colour")
    assert colours.add("red", 1) == 1
    assert colours["red"] == 1
    assert list(colours) == ["red"]
    assert "red" in colours
    assert len(colours) == 1


def test_unknown_name_is_hinted():
    colours = Registry("colour")
    colours.add("crimson", 1)
    with pytest.raises(UnknownName, match=r"no colour is named 'crimsn'; did you mean 'crimson'\?"):
        colours["crimsn"]
    with pytest.raises(UnknownName, match="known: crimson"):
        colours["zzz"]


def test_name_twice_is_a_bug():
    colours = Registry("colour")
    colours.add("red", 1)
    with pytest.raises(ValueError, match="two colours are named 'red'"):
        colours.lazy("red", at="math:pi")


def test_lazy_thing_is_loaded_on_use():
    numbers = Registry("number")
    numbers.lazy("pi", at="math:pi", round=True)
    assert numbers["pi"] == pytest.approx(3.14159, abs=1e-5)
    assert numbers.facts("pi") == {"at": "math:pi", "round": True}
