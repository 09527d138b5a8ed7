"""Functions that take the fields of a model as their arguments."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from hpbench.arguments import Config, DataFolders, Limit, Methods, Plugins, build, documented
from hpbench.errors import UsageError


class Sizes(BaseModel, extra="forbid"):
    width: int = 3


class Job(Config):
    methods: Methods
    engine: Literal["local", "ray"] = Field("local", description="Where it runs.")
    data: DataFolders = Field({})
    limit: Limit = None
    plugins: Plugins = ()
    sizes: Sizes = Sizes()


@documented
def job(config: Job, *, out: str | None = None) -> tuple[Job, str | None]:
    """Do a job.

    Returns
    -------
    tuple
    """
    return config, out


def test_fields_are_arguments_with_their_defaults():
    parameters = inspect.signature(job).parameters
    assert list(parameters) == ["methods", "engine", "data", "limit", "plugin", "sizes", "out"]
    assert parameters["methods"].default is inspect.Parameter.empty
    assert parameters["engine"].default == "local"
    assert parameters["limit"].kind is inspect.Parameter.KEYWORD_ONLY


def test_docstring_describes_the_fields():
    assert "engine : Literal['local', 'ray'], default 'local'\n    Where it runs." in job.__doc__
    assert "methods : str, list or mapping\n" in job.__doc__
    assert job.__doc__.index("Parameters") < job.__doc__.index("engine") < job.__doc__.index("Ret")


def test_lists_and_single_values_are_taken_where_a_user_writes_either():
    config, out = job(["a", "b[k=1]"], plugin="one.py", out="x")
    assert (config.methods, config.plugins, out) == ("a,b[k=1]", (Path("one.py"),), "x")


def test_argument_that_does_not_exist_is_pythons_own_error():
    with pytest.raises(TypeError, match=r"^job\(\) .*bacth_size"):
        job("a", bacth_size=3)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"engine": "spark"}, "engine='spark': must be 'local' or 'ray'"),
        ({"limit": 0}, "limit=0: must be greater than or equal to 1"),
        ({"sizes": {"width": "x"}}, "sizes='width=x': must be a valid integer"),
        ({"sizes": {"widht": 1}}, "sizes='widht=1': no such key; did you mean 'width'?"),
    ],
)
def test_first_value_that_does_not_fit_is_named_in_one_line(given, line):
    with pytest.raises(UsageError) as caught:
        job("a", **given)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_subject_of_a_message_is_the_callers():
    with pytest.raises(UsageError, match=r"^--limit 0: "):
        build(Job, {"methods": "a", "limit": 0}, lambda name, value: f"--{name} {value}")
