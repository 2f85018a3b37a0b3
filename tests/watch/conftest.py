import pytest

for library in ("av", "trackers"):
    pytest.importorskip(library, reason=f"{library} is not installed: pip install 'maskkit[watch]'")
