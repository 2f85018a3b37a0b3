"""Optional libraries: imported where they are installed, named with their extra where they are not."""

import json
import sys
import warnings

import pytest

from maskkit._optional import require
from maskkit.exceptions import MaskkitError


def test_installed_library_is_imported():
    assert require("json", "nonsense") is json


def test_missing_library_is_named_with_the_extra_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(
        ImportError, match=r"pandas is not installed; install it: pip install 'maskkit\[pandas\]'"
    ) as caught:
        require("pandas", "pandas")
    assert isinstance(caught.value, MaskkitError)


def test_library_that_lacks_a_library_of_its_own_says_so(tmp_path, monkeypatch):
    (tmp_path / "half_installed.py").write_text("import no_such_module")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_module'"):
        require("half_installed", "nonsense")


def test_a_library_that_ignores_all_warnings_does_not_silence_others(tmp_path, monkeypatch):
    (tmp_path / "silencer.py").write_text("import warnings; warnings.filterwarnings('ignore')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    filters = list(warnings.filters)
    require("silencer", "review")
    assert warnings.filters == filters
