"""No request takes the page down or changes a game but a good one (tests/fuzz/web_fuzz.py)."""

from __future__ import annotations

import pytest
from web_fuzz import application, fuzz, fuzz_command
from web_helpers import make_run, make_tournament
from web_requests import requests

REQUESTS = 1000
"""`python tests/fuzz/web_fuzz.py 100000` runs more."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    return make_run(folder / "run"), make_tournament(folder / "tournament")


def test_fuzzed_requests(folders):
    with application(*folders) as send:
        referee = fuzz(send, requests(REQUESTS, 1))
    assert referee.changes > 20 and {200, 400, 403, 404, 405, 409, 413} <= set(referee.statuses)


def test_the_command_lives_through_fuzzed_requests(folders):
    assert fuzz_command(requests(REQUESTS // 3, 2), *folders).changes > 5
