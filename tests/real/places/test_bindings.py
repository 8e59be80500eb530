"""Splitting a GPU as `cuda.bindings` takes it: arguments and answers of the installed package.

Without a driver its functions still convert their arguments, and refuse those of a wrong type.
"""

import re
from types import SimpleNamespace

import pytest

from ssdreal.places.cuda import Half, split

driver = pytest.importorskip("cuda.bindings.driver", reason="only GPU machines have it")


RETURNED = r"^\w+ : ([Ll]ist)?.*?(?:~\.)?(\w+)`?\]?$"
"""A name and its type, which may be a list's."""

RESOURCE = {"smCount": 132, "minSmPartitionSize": 8, "smCoscheduledAlignment": 8}


class Documented:
    """The driver's functions: called for their arguments, answered as they document it."""

    def __init__(self):
        self.called = set()

    def __getattr__(self, name):
        found = getattr(driver, name)
        return self._asked(name, found) if callable(found) and name.startswith("cu") else found

    def _asked(self, name, function):
        def answer(*arguments):
            self.called.add(name)
            with pytest.raises(RuntimeError, match=r"driver|libcuda|dlopen"):
                function(*arguments)
            _, returned = function.__doc__.split("Returns\n-------\n")
            kinds = re.findall(RETURNED, returned, re.MULTILINE)
            return driver.CUresult.CUDA_SUCCESS, *(_made(*kind) for kind in kinds)

        return answer


def _made(many, kind):
    """Return a value of a documented type."""
    if kind == "int":
        return 1
    found = getattr(driver, kind)()
    if kind == "CUdevResource":
        for name, number in RESOURCE.items():
            setattr(found.sm, name, number)
    return [found] if many else found


@pytest.fixture(autouse=True)
def _without_a_driver():
    try:
        driver.cuDeviceGet(0)
    except RuntimeError:
        return
    pytest.skip("there is a driver: the tests of a GPU ask it")


def test_a_split_asks_the_installed_bindings_as_they_want_it():
    documented = Documented()
    assert split(documented, 0, 0.6) == (Half(0, 132), Half(0, 132))
    assert len(documented.called) == 7


def test_what_they_do_not_take_is_noticed():
    """Which shows that the test above can fail."""
    documented = Documented()
    with pytest.raises(TypeError):
        documented.cuDevSmResourceSplitByCount(1, SimpleNamespace(sm=None), 0, 8)
