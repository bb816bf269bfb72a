"""How many cases there were."""

from pathlib import Path

import pytest
from fuzzing import CASES

LEAST = 2000


def test_at_least_two_thousand_cases_ran(request):
    ran = {item.path.name for item in request.session.items}
    everything = {path.name for path in Path(__file__).parent.glob("test_*.py")}
    if not everything <= ran or request.config.option.keyword:
        pytest.skip("only a part of the fuzz suite was asked for")
    assert CASES.total() >= LEAST
