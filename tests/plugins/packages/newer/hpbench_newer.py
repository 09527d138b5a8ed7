"""A method for a contract that does not exist yet."""

from hpbench_good import Steady


class Futuristic(Steady):
    """From the future."""

    name = "futuristic"
    contract = 99
