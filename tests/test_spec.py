"""The text form name[key=value,...]."""

from __future__ import annotations

from typing import Literal

import pytest

from hpbench.errors import UsageError
from hpbench.method import Options
from hpbench.registry import make_dataset
from hpbench.spec import Spec, build_options, parse_spec, parse_specs, suggest


class Choices(Options):
    model: Literal["six", "many"] = "six"
    focal: float = 1.0
    euler: Literal["rq"] | Literal["XYZ", "ZYX"] | None = None


def test_options_are_parsed_from_brackets():
    spec = parse_spec("pnp[model=six,focal=2]")
    assert (spec.name, spec.options) == ("pnp", {"model": "six", "focal": "2"})


def test_canonical_text_does_not_depend_on_the_order_of_options():
    assert str(parse_spec("pnp[model=six,focal=2]")) == str(parse_spec("pnp[focal=2,model=six]"))


def test_commas_inside_brackets_do_not_separate_names():
    assert [s.name for s in parse_specs("hopenet[k=.2,crop=x],pnp")] == ["hopenet", "pnp"]


def test_plain_name_takes_a_path():
    spec = parse_spec("table=folder/labels.csv")
    assert (spec.name, spec.path) == ("table", "folder/labels.csv")


def test_value_may_hold_an_equals_sign():
    assert parse_spec("m[weights=a=b.pt]").options == {"weights": "a=b.pt"}


@pytest.mark.parametrize("text", ["", ",", "a[b", "a]b", "a[b]", "a[=1]", "a[k=1]x", "1[a=2]"])
def test_malformed_text_is_refused(text):
    with pytest.raises(UsageError):
        parse_specs(text)


def test_the_same_option_twice_is_refused():
    with pytest.raises(UsageError, match="twice"):
        parse_spec("pnp[focal=1,focal=2]")


def test_the_same_spec_twice_is_refused():
    with pytest.raises(UsageError, match="listed twice"):
        parse_specs("pnp[focal=1],pnp[focal=1]")


def test_the_same_method_with_other_options_is_fine():
    assert len(parse_specs("pnp,pnp[focal=2]")) == 2


def test_values_take_the_type_of_their_option():
    assert build_options(Choices, {"focal": "2"}, "method 'pnp'").model_dump()["focal"] == 2.0


def test_unknown_key_is_refused_with_the_nearest_match():
    with pytest.raises(UsageError, match="no option 'modell'; did you mean 'model'"):
        build_options(Choices, {"modell": "six"}, "method 'pnp'")


def test_value_that_does_not_fit_is_shown_with_its_key():
    with pytest.raises(UsageError, match="method 'pnp': model=seven"):
        build_options(Choices, {"model": "seven"}, "method 'pnp'")


def test_card_in_a_folder_takes_options():
    spec = parse_spec("my nets/deep.toml[weights=/w]")
    assert (spec.name, spec.options) == ("my nets/deep.toml", {"weights": "/w"})


def test_path_takes_options_behind_it():
    spec = parse_spec("table=folder/labels.csv[unit=rad]")
    assert (spec.name, spec.path, spec.options) == (
        "table",
        "folder/labels.csv",
        {"unit": "rad"},
    )
    assert parse_spec(spec.text) == spec


@pytest.mark.parametrize(
    "path", ["runs/lr=0.1,bs=32/best.pkl", "a[1]/b.pt", "it's.pt", 'say "hi".pt', "C:\\nets\\a.pt"]
)
def test_quoted_path_may_hold_whatever_separates_options(path):
    quote = "'" if '"' in path else '"'
    (spec,) = parse_specs(f"hopenet[k=.2,weights={quote}{path}{quote}]")
    assert spec.options == {"k": ".2", "weights": path}
    assert parse_specs(f"{spec},pnp")[0] == spec
    (table,) = parse_specs(f"table={quote}{path}{quote}[unit=rad]")
    assert (table.path, table.options) == (path, {"unit": "rad"})
    assert parse_spec(table.text) == table


def test_path_with_brackets_and_nothing_behind_them_is_a_path():
    assert parse_spec("table=set[1]/labels.csv").path == "set[1]/labels.csv"


def test_apostrophe_inside_a_value_opens_no_quote():
    assert parse_spec("m[weights=it's.pt]").options == {"weights": "it's.pt"}


def test_quote_that_is_not_closed_is_named():
    with pytest.raises(UsageError, match="is not closed"):
        parse_spec('m[weights="a.pt]')


def test_half_a_path_in_the_place_of_an_option_is_told_about_quotes():
    spec = parse_spec("m[model=lr=0.1,bs=32/best.pkl]")
    with pytest.raises(UsageError, match="goes in quotes"):
        build_options(Choices, spec.options, "method 'm'")


@pytest.mark.parametrize("path", ["runs/lr=0.1,bs=32/labels.csv", "a/k=1/b.csv", "set[1]/b.csv]"])
def test_path_that_is_no_spec_is_told_about_quotes(path):
    with pytest.raises(UsageError, match="goes in quotes"):
        parse_specs(path)
    (spec,) = parse_specs(f'"{path}"')
    assert spec.name == path


def test_what_is_no_path_is_not_told_about_quotes():
    with pytest.raises(UsageError, match=r"write name or name\[key=value,\.\.\.\]$"):
        parse_spec("hope net")


def test_half_a_path_with_a_comma_is_told_about_quotes():
    with pytest.raises(UsageError, match=r"no data set 'photos/a'.*goes in quotes"):
        make_dataset(parse_specs("photos/a,b/labels.csv")[0])


def test_options_may_be_given_as_a_mapping():
    specs = parse_specs([{"hopenet": {"weights": "a,b.pkl", "k": 0.2}}, "pnp", {"dlib": None}])
    assert [spec.name for spec in specs] == ["hopenet", "pnp", "dlib"]
    assert specs[0].options == {"weights": "a,b.pkl", "k": "0.2"}
    (table,) = parse_specs({"table=labels.csv": {"unit": "rad"}})
    assert (table.path, table.options) == ("labels.csv", {"unit": "rad"})


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1.2:1.8:0.2", ["1.2", "1.4", "1.6", "1.8"]),
        ("0:0.3:0.1", ["0", "0.1", "0.2", "0.3"]),
        ("-1:1:1", ["-1", "0", "1"]),
        ("10:30:10", ["10", "20", "30"]),
        ("1:2:0.75", ["1", "1.75"]),
        ("a:b:c", ["a:b:c"]),
    ],
)
def test_a_sweep_is_a_spec_per_value(text, values):
    specs = parse_specs(f"lwhpe[k={text}]")
    assert [spec.options["k"] for spec in specs] == values


def test_two_sweeps_are_all_combinations_and_paths_keep_theirs():
    specs = parse_specs("nets/a.toml[k=1:2:1,x=0:1:1]")
    assert [str(spec) for spec in specs] == [
        f"nets/a.toml[k={k},x={x}]" for k in (1, 2) for x in (0, 1)
    ]


@pytest.mark.parametrize("text", ["2:1:0.5", "1:2:0", "1:2:-1", "0:1000:1", "0:1:0.000000001"])
def test_a_sweep_that_never_ends_is_refused(text):
    with pytest.raises(UsageError, match=f"k={text}: "):
        parse_specs(f"lwhpe[k={text}]")


def test_sweeps_multiply_to_a_limit():
    with pytest.raises(UsageError, match="more than 100 methods"):
        parse_specs("lwhpe[k=0:50:1,x=0:50:1]")


def test_value_that_may_be_of_several_kinds_is_refused_with_all_of_them():
    with pytest.raises(UsageError, match=r"method 'm': euler=xyz: must be 'rq' or 'XYZ' or 'ZYX'$"):
        build_options(Choices, {"euler": "xyz"}, "method 'm'")


@pytest.mark.parametrize("path", ["c2/net [v1].toml", "net=v1.toml", "/tmp/a, b.csv", "it's.toml"])
def test_name_that_is_a_path_is_written_so_that_it_is_read_again(path):
    for options in ({}, {"k": "1.2"}):
        spec = Spec(path, options)
        assert parse_spec(spec.text) == parse_spec(str(spec)) == spec
        assert parse_specs({Spec(path).text: options, "constant": {}})[0] == spec


def test_name_that_is_known_twice_is_listed_once():
    assert suggest("light", ["group", "abs_yaw", "group"]) == "known: abs_yaw, group"
