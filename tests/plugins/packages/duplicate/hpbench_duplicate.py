"""A method under a name that is taken."""

from hpbench_good import Steady


class Pnp(Steady):
    """Not the pnp of hpbench."""

    name = "pnp"
