"""The search space: what is fixed or ranged, what has no meaning, and what cannot be."""

import pytest
from hydra.errors import OverrideParseException

from ssdsim.errors import ConfigError
from ssdsim.tune.search_space import Family, families, is_tuned, parsed, words, written


def space(*texts):
    return families(parsed(texts))


def values(option, *texts):
    """Return what is tried of an option, in all families that have it."""
    return {one.values[option] for one in space(*texts) if option in one.values}


def names(*texts):
    return [one.name for one in space(*texts)]


def test_a_family_is_every_combination_of_its_values():
    family = Family("f", {"method": ("ssd",), "lookahead": (1, 2), "backup": ("jit", "random")})
    assert family.size == len(list(family)) == 4
    assert [words(one) for one in family] == [
        "method=ssd lookahead=1 backup=jit",
        "method=ssd lookahead=1 backup=random",
        "method=ssd lookahead=2 backup=jit",
        "method=ssd lookahead=2 backup=random",
    ]


def test_an_option_that_is_fixed_is_so_wherever_it_has_a_meaning():
    assert values("lookahead", "lookahead=5") == {(5,)}
    alone = next(one for one in space("lookahead=5") if one.name == "autoregressive")
    assert list(alone) == [(("method", "autoregressive"),)]


def test_an_option_takes_a_range_or_a_list():
    assert values("lookahead", "lookahead=range(1,4)") == {(1, 2, 3)}
    assert values("lookahead", "lookahead=2,7") == {(2, 7)}


def test_a_choice_of_plug_ins_leaves_the_families_about_them():
    left = names("policy=uniform_fanout,topk_outcomes")
    assert {"ssd", "ssd_uniform", "ssd_saguaro", "speculative"} <= set(left)
    assert "ssd_geometric" not in left
    assert names("method=speculative,pearl") == [
        name for name in names() if name.startswith(("speculative", "pearl"))
    ]


def test_a_plug_ins_own_option_is_for_it_alone():
    with_fanout = [one.name for one in space("policy.fanout=3") if "policy.fanout" in one.values]
    assert with_fanout == ["ssd_uniform"]
    thresholds = [one.name for one in space("length.threshold=0.3") if one.name.startswith("spec")]
    assert "speculative_confident_length" in thresholds
    assert values("length.threshold", "length.threshold=0.3") == {(0.3,)}


def test_a_method_that_no_family_names_is_tried_with_every_lookahead_it_uses():
    (jacobi,) = space("method=jacobi")
    assert dict(jacobi.values) == {"method": ("jacobi",), "lookahead": tuple(range(1, 17))}
    (swift,) = space("method=swift", "lookahead=3,4")
    assert swift.values["lookahead"] == (3, 4)


def test_a_policy_that_no_family_names_is_tried_as_others_are_without_their_options():
    found = {one.name: one for one in space("policy=oracle", "method=ssd")}
    (oracle,) = found.values()
    assert oracle.values["policy"] == ("oracle",)
    assert oracle.values["backup"] == ("jit", "ngram", "random")
    assert not any(name.startswith("policy.") for name in oracle.values)


def test_choices_stand_before_their_own_options():
    for family in space("policy.fanout=3", "backup=ngram", "backup.longest=2"):
        order = list(family.values)
        for name in order:
            group = name.partition(".")[0]
            assert group not in order or order.index(group) <= order.index(name)


def test_an_option_of_the_setting_is_ranged_for_every_candidate():
    found = space("batch=4,8")
    assert {one.values["batch"] for one in found} == {(4, 8)}
    assert not is_tuned("batch")
    assert all(map(is_tuned, ("lookahead", "policy.budget", "saguaro.fanout", "method")))


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["policy.nonsense=3"], "policy.nonsense='3': has no effect"),
        (["method=autoregressive", "lookahead=3"], "lookahead='3': has no effect"),
        (["method=pearl", "policy=oracle"], "policy='oracle': has no effect"),
        (["policy=topk_outcomes", "policy.fanout=2"], "policy.fanout='2': has no effect"),
        (["policy=nobody"], "policy='nobody': needs the name of an option among"),
        (["method=3"], "method=3: needs the name of an option among"),
        (["lookahead=range(5,5)"], r"lookahead=range\(5,5\): is empty"),
        (["~lookahead"], "~lookahead: needs OPTION=VALUE"),
        (["backup.slow={_target_:random}"], "needs plain values"),
    ],
)
def test_what_has_no_meaning_is_refused_in_one_line(texts, said):
    with pytest.raises(ConfigError, match=said) as error:
        space(*texts)
    assert "\n" not in str(error.value)


def test_a_word_of_another_form_is_hydras_to_refuse():
    with pytest.raises(OverrideParseException):
        parsed(["lookahead"])


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (None, "null"), ([2, [3]], "[2,[3]]"), (0.5, "0.5"), ("jit", "jit")],
)
def test_values_are_written_as_the_command_line_takes_them(value, text):
    assert written(value) == text
    (read,) = parsed([f"a={text}"])["a"]
    assert written(read) == text
