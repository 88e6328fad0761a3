"""Which family a method on a backbone belongs to, told without importing torch."""

from lotterybench.methods.base.architectures import architecture
from lotterybench.methods.base.shape import method


def family_of(name: str, backbone: str) -> str:
    """Return `<objective group>/<backbone group>`, the unit that is resampled (protocol §1).

    A method added from Python is an objective of its own. Raises `UnknownName` for a backbone or a
    method that does not exist.
    """
    return f"{method.facts(name).get('objective', name)}/{architecture(backbone).group}"
