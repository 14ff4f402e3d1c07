"""The page in a real browser: headless Chromium plays, errs, takes back, looks at runs; skipped where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from run_helpers import wait_until
from web_helpers import change_settings, make_run, make_tournament, recorded_games, served

from selfplay.evaluation.video import write_film
from selfplay.storage.metrics import MetricsWriter
from selfplay.storage.run_folder import RunFolder
from selfplay.training.run_state import save_games
from selfplay.web.films import Films

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="no chromium and chromedriver (apt-get install chromium-driver)"
    ),
]

DESKTOP, PHONE = (1280, 900), (390, 844)


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    """A page with a run and a tournament, served by a thread."""
    folder = tmp_path_factory.mktemp("served")
    with served(make_run(folder / "four"), make_tournament(folder / "cup")) as found:
        yield found


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """One browser for all tests."""
    selenium = pytest.importorskip("selenium", reason="Selenium is not installed: pip install selenium")
    from selenium import webdriver

    assert selenium
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def axe() -> str:
    """The code of axe-core, which looks for what keeps people from using a page."""
    package = pytest.importorskip("axe_core_python", reason="axe-core is not installed: pip install axe-core-python")
    return (Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


class Screen:
    """The page as a person meets it."""

    def __init__(self, driver, address: str) -> None:
        self.driver, self.address = driver, address
        self.complaints: list[str] = []

    def open(self, page: str = "play", size: tuple[int, int] = DESKTOP) -> Screen:
        """Load the page anew, with nothing remembered."""
        width, height = size
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        self.driver.get(self.address)
        self.driver.execute_script("sessionStorage.clear()")
        self.driver.get("about:blank")
        self.driver.get(f"{self.address}#{page}")
        self.until(lambda: self.js("return document.body.dataset.ready === 'yes'"), "the page is ready")
        return self

    def leave(self) -> Screen:
        """Go away from the page before its server does."""
        self.driver.get("about:blank")
        return self

    def js(self, code: str, *values):
        return self.driver.execute_script(code, *values)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something, but not on a page whose code has failed."""

        def come_true() -> bool:
            broken = [message for message in self.errors(keep=True) if "Uncaught" in message]
            assert not broken, broken
            return bool(condition())

        wait_until(
            come_true,
            f"{what}; problem shown: {self.text('#problem')!r}, status: {self.text('#status')!r}",
        )

    def find(self, css: str):
        return self.driver.find_element("css selector", css)

    def all(self, css: str):
        return self.driver.find_elements("css selector", css)

    def text(self, css: str) -> str:
        return self.js("return document.querySelector(arguments[0])?.textContent ?? ''", css)

    def choose(self, css: str, value: str) -> None:
        self.js(
            "const s = document.querySelector(arguments[0]); s.value = arguments[1];"
            "if (s.value !== arguments[1]) throw new Error('no option ' + arguments[1]);"
            "s.dispatchEvent(new Event('change', {bubbles: true}))", css, value,
        )  # fmt: skip

    def form(self, name: str) -> None:
        """Choose a game and wait until it begins."""
        before = self.js("return sessionStorage.getItem('selfplay-game')")
        self.choose("#game", name)
        self.until(lambda: self.js("return sessionStorage.getItem('selfplay-game')") != before, "the game begins")
        assert self.js("return document.querySelector('#seats').dataset.game") == name

    def fresh(self) -> None:
        """Press New game and wait for it."""
        before = self.js("return sessionStorage.getItem('selfplay-game')")
        self.find("#setup button[type=submit]").click()
        self.until(lambda: self.js("return sessionStorage.getItem('selfplay-game')") != before, "the game begins")

    def game(self, name: str, *kinds: str, simulations: int = 10) -> None:
        """Begin a game, through the form."""
        self.form(name)
        for seat, kind in enumerate(kinds, 1):
            self.choose(f"#seats .seat:nth-child({seat}) > select", kind)
            field = f"#seats .seat:nth-child({seat}) input[type=number]"
            self.js("document.querySelector(arguments[0]).value = arguments[1]", field, simulations)
        self.fresh()

    def cell(self, label: str):
        """The button of the cell whose name begins with `label`."""
        return self.find(f'.board:not([hidden]) .cell[aria-label^="{label},"]')

    def moves(self) -> int:
        return len(self.all("#moves li"))

    def my_turn(self) -> bool:
        return self.text("#status").startswith("Your move")

    def errors(self, keep: bool = False) -> list[str]:
        """What the browser complained about since the last call, and what was kept then."""
        fresh = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        found, self.complaints = self.complaints + fresh, self.complaints + fresh if keep else []
        return found


@pytest.fixture
def screen(chromium, address):
    found = Screen(chromium, address)
    yield found
    assert found.errors() == []


def test_the_page_opens_with_a_board_ready_to_play(screen):
    screen.open()
    screen.until(screen.my_turn, "it is the person's turn")
    assert screen.all("#play-board .board.rack .plate") and "four @12" in screen.text("#opponent")
    screen.cell("column 3, row 6").click()
    screen.until(lambda: screen.moves() == 2 and screen.my_turn(), "the answer comes")
    assert screen.all("#play-board .last"), "the last move is marked"
    screen.find("#strengths label:nth-of-type(1)").click()
    screen.until(lambda: "network alone" in screen.text("#opponent"), "another strength is chosen")
    screen.cell("column 3, row 6").click()
    screen.until(lambda: screen.moves() == 4 and screen.my_turn(), "the game has gone on")


def test_a_whole_game_is_played_by_clicks(screen):
    screen.open().game("tic_tac_toe", "human", "mcts")
    while True:
        screen.until(
            lambda: screen.my_turn() or "won" in screen.text("#status") or "draw" in screen.text("#status"), "a turn"
        )
        if not screen.my_turn():
            break
        before = screen.moves()
        screen.find('#play-board .cell[aria-disabled="false"]').click()
        screen.until(lambda before=before: screen.moves() > before, "the move is played")
    assert 5 <= screen.moves() <= 9
    assert not screen.all('#play-board .cell[aria-disabled="false"]') or "won" in screen.text("#status")


def test_an_illegal_click_says_so_and_changes_nothing(screen):
    screen.open().game("tic_tac_toe", "human", "human")
    screen.cell("row 1, column 1").click()
    screen.until(lambda: screen.moves() == 1, "the move is played")
    screen.cell("row 1, column 1").click()
    assert screen.text("#status") == "row 1, column 1, x: no legal move here."
    assert screen.text("#live") == screen.text("#status") and screen.moves() == 1


def test_a_move_is_taken_back_and_sides_are_swapped(screen):
    screen.open().game("connect_four", "human", "mcts")
    screen.cell("column 3, row 6").click()
    screen.until(lambda: screen.moves() == 2 and screen.my_turn(), "the answer comes")
    assert screen.find('.cell[aria-label^="column 3, row 1, red disc"]')
    assert screen.all("#thought table tbody tr") and "Expected" in screen.text("#thought")
    screen.find("#thought .tree > summary").click()
    screen.find("#thought .tree li summary").click()
    screen.until(lambda: screen.all("#thought .tree li li"), "the replies to a move are shown")
    assert ", prior " in screen.text("#thought .tree li li")
    screen.find("#undo").click()
    screen.until(lambda: screen.moves() == 0 and screen.my_turn(), "taken back")
    screen.find("#swap").click()
    screen.until(lambda: screen.moves() == 1 and screen.my_turn(), "the player has moved first")


def test_thinking_is_shown_while_it_goes_on_and_ends_when_told_to(screen):
    screen.open().game("connect_four", "human", "mcts", simulations=100_000)
    screen.cell("column 3, row 6").click()
    seen: list[int] = []

    def grown() -> bool:
        shown = screen.js("return document.querySelector('#thought progress')?.value ?? 0")
        if shown and (not seen or shown > seen[-1]):
            seen.append(shown)
        return len(seen) >= 3

    screen.until(grown, "reports come one after the other")
    assert "is thinking" in screen.text("#status") and screen.all("#play-board .share") and screen.moves() == 1
    screen.find("#stop").click()
    screen.until(lambda: screen.moves() == 2 and screen.my_turn(), "the player moves")


def test_a_piece_is_moved_by_two_clicks_and_a_promotion_is_asked_for(screen):
    screen.open().game("chess", "human", "human")
    screen.cell("e2").click()
    assert screen.cell("e2").get_attribute("aria-pressed") == "true"
    screen.cell("e4").click()
    screen.until(lambda: screen.moves() == 1, "the pawn moves")
    screen.js("document.querySelector('#paste').value = '1. e4 d5 2. exd5 c6 3. dxc6 a6 4. cxb7 a5'")
    screen.js("document.querySelector('#set-position').click()")
    screen.until(lambda: screen.moves() == 8, "the position is set")
    screen.cell("b7").click()
    screen.cell("a8").click()
    screen.until(lambda: screen.all("#choices button"), "the page asks")
    next(button for button in screen.all("#choices button") if "=N" in button.text).click()
    screen.until(lambda: screen.moves() == 9, "the pawn is promoted")
    assert screen.cell("a8").get_attribute("aria-label").startswith("a8, white knight")


def test_the_board_is_played_by_keys(screen):
    from selenium.webdriver.common.keys import Keys

    screen.open().game("tic_tac_toe", "human", "human")
    screen.js("document.querySelector('#play-board .cell[tabindex=\"0\"]').focus()")
    for key in (Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.ENTER):
        screen.driver.switch_to.active_element.send_keys(key)
    screen.until(lambda: screen.moves() == 1, "the move is played")
    assert screen.text("#moves li") == "x(1,1)"
    assert screen.driver.switch_to.active_element.get_attribute("aria-label") == "row 1, column 1, x, last move"
    assert screen.text("#live").startswith("x: x(1,1)")


def test_a_game_without_a_board_is_played_by_buttons(screen):
    screen.open()
    screen.form("pig")
    screen.choose("#seats .seat:nth-child(2) > select", "human")
    screen.fresh()
    screen.until(lambda: len(screen.all("#other-moves button")) == 2, "the moves are there")
    screen.all("#other-moves button")[0].click()
    screen.until(lambda: screen.moves() == 2, "rolled")
    assert "Scores" in screen.text("#play-board pre")


def test_nonsense_that_is_pasted_is_one_line(screen):
    screen.open().game("tic_tac_toe", "human", "human")
    screen.js("document.querySelector('#paste').value = '\\u0000' + '<b>x</b> '.repeat(1000)")
    screen.js("document.querySelector('#set-position').click()")
    screen.until(lambda: screen.find("#problem").is_displayed(), "a problem is shown")
    assert "is not a legal move" in screen.text("#problem") and screen.moves() == 0 and not screen.all("#problem b")
    # The browser reports the answer 400 as an error of its own.
    assert all("400" in message for message in screen.errors())


def test_a_run_is_loaded_and_its_games_are_stepped_through(screen):
    screen.open("browse")
    screen.until(lambda: len(screen.all("#games li > button:first-child")) == 3, "the games are listed")
    screen.until(lambda: "game 2: move" in screen.text("#replay-status"), "the newest game is shown")
    assert screen.text("#games li:first-child [aria-current]").startswith("game 2") and screen.all(
        "#replay-board .last"
    )
    screen.all("#games li > button:first-child")[1].click()
    screen.until(lambda: "move 0 of" in screen.text("#replay-status"), "the game is shown")
    screen.find("#last").click()
    screen.until(lambda: not screen.find("#forth").is_enabled(), "the end")
    for _ in range(2):
        ply = screen.js("return document.querySelector('#ply').value")
        screen.find("#back").click()
        screen.until(lambda ply=ply: screen.js("return document.querySelector('#ply').value") != ply, "a move back")
    assert (
        screen.all("#searched tbody tr") and screen.all("#replay-board .share") and screen.all("#replay-values canvas")
    )
    played = screen.js("return document.querySelector('#ply').value")
    screen.find("#play-here").click()
    screen.until(
        lambda: screen.find("#play").is_displayed() and screen.moves() >= int(played), "play goes on from there"
    )


def test_games_of_a_tournament_are_shown(screen):
    screen.open("browse")
    screen.choose("#source", "tournament 0")
    screen.until(lambda: len(screen.all("#games li > button:first-child")) == 2, "the games are listed")
    screen.until(lambda: "mcts:simulations=10" in screen.text("#replay-status"), "the newest game is shown")


def test_two_versions_are_compared(screen):
    screen.open().game("connect_four", "human", "human")
    screen.find("[data-page=compare]").click()
    screen.until(lambda: len(screen.all("#compared .seat")) == 2, "the form is ready")
    for seat, version in ((1, "12"), (2, "3")):
        assert (
            screen.js(
                f"return document.querySelector('#compared .seat:nth-child({seat}) .run select:nth-child(2)').value"
            )
            == version
        )
        screen.js(f"document.querySelector('#compared .seat:nth-child({seat}) input[type=number]').value = 8")
    screen.find("#compare-form button").click()
    screen.until(lambda: screen.all("#comparison .wide tbody tr"), "both have thought")
    assert len(screen.all("#comparison .board .share")) >= 2


def test_positions_where_two_versions_differ_are_found_and_looked_at(screen):
    screen.open("compare")
    screen.until(lambda: len(screen.all("#compared .seat")) == 2, "the form is ready")
    screen.find("#find-differences").click()
    screen.until(lambda: "Looked at positions" in screen.text("#differences .status"), "the search has ended")
    assert "1 plays" in screen.text("#differences li") and ", 2 plays" in screen.text("#differences li")
    screen.find("#differences li button").click()
    screen.until(lambda: "after move 0" not in screen.text("#compare-status"), "the position is shown")
    screen.until(lambda: screen.all("#comparison .panel.wide"), "the players are compared in it")


def test_two_versions_are_compared_at_once(screen):
    screen.open("compare")
    screen.until(lambda: screen.all("#comparison .wide tbody tr"), "both have thought")
    players = [one.text for one in screen.all("#comparison .by")]
    assert "@12" in players[0] and "@3" in players[1]


def test_what_a_comparison_lacks_is_said(chromium):
    with served() as address:
        screen = Screen(chromium, address).open("compare")
        screen.until(lambda: "selfplay serve RUN_DIR" in screen.text("#compare-missing"), "what is missing is said")
        screen.choose("#compared .seat:nth-child(2) > select", "random")
        assert screen.leave().errors() == []


@pytest.mark.parametrize("page", ["browse", "training"])
def test_a_page_without_runs_says_how_to_get_one_and_shows_nothing_else(chromium, page):
    with served() as address:
        screen = Screen(chromium, address).open(page)
        screen.until(lambda: "selfplay serve RUN_DIR" in screen.text(f"#{page}"), "what is missing is said")
        shown = screen.all(f"#{page} button, #{page} select, #{page} input, #{page} .panel")
        assert not any(element.is_displayed() for element in shown)
        for scheme in ("dark", "light"):  # which draws plots anew, where there are some
            feature = {"name": "prefers-color-scheme", "value": scheme}
            screen.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        screen.find("[data-page=play]").click()
        screen.until(screen.my_turn, "the board is ready")
        assert screen.leave().errors() == []


def test_training_leads_with_strength(screen):
    screen.open("training")
    screen.until(lambda: screen.all("#curves .plot canvas"), "the plots are there")
    assert [title.text for title in screen.all("#curves h3")][:3] == ["Strength", "Losses", "Self-play"]
    assert screen.text("#curves h4").startswith("Score against each opponent")
    assert "Last: random: 90 %" in screen.find("#curves .plot").get_attribute("aria-label")


def test_a_running_run_is_watched(chromium, tmp_path):
    """Its newest game is played through, and numbers and games that it writes appear by themselves."""
    run = make_run(tmp_path / "going", "tic_tac_toe", opening_plies=0)
    with served(run) as address:
        screen = Screen(chromium, address).open("training")
        screen.until(lambda: "Game 0/2: move" in screen.text("#watch .status"), "the newest game is shown")
        screen.until(lambda: "20 steps" in screen.text("#training-status"), "the numbers are shown")
        with MetricsWriter(run / "metrics.jsonl") as writer:
            writer.write({"train/loss": 1.0}, step=30, positions=300, time_s=15.0)
        screen.until(lambda: "30 steps" in screen.text("#training-status"), "new numbers arrive")
        screen.find("[data-page=browse]").click()
        screen.until(lambda: "shard 0, game 2" in screen.text("#replay-status"), "the newest game is shown")
        save_games(RunFolder(run), recorded_games("tic_tac_toe", 2))
        screen.until(lambda: "shard 1, game 1" in screen.text("#replay-status"), "a newer one is opened")
        assert screen.leave().errors() == []


def test_a_run_in_an_environment_shows_returns_and_a_film(chromium, tmp_path, monkeypatch):
    def film(self, run, version, path):
        write_film(iter(np.zeros((4, 48, 64, 3), np.uint8)), path)
        return 480.0

    monkeypatch.setattr(Films, "_film", film)
    run = make_run(tmp_path / "pole", with_games=False)
    change_settings(run, environment="CartPole-v1", algorithm="dqn")
    with MetricsWriter(run / "metrics.jsonl") as writer:
        figures = {"eval/return": 400.0, "eval/return_low": 350.0, "eval/return_high": 450.0}
        writer.write(figures, step=30, positions=300, time_s=15.0)
    with served(run) as address:
        screen = Screen(chromium, address).open("training")
        screen.until(lambda: screen.all("#watch video"), "the film is there")
        screen.until(lambda: screen.js("return document.querySelector('video').readyState >= 2"), "it can be played")
        assert "return of 480" in screen.text("#watch .status")
        screen.until(lambda: "Return of an episode" in screen.text("#curves h4"), "returns lead")
        assert "400 (95 %: 350 to 450)" in screen.text("#curves h4")
        assert screen.leave().errors() == []


def test_nothing_comes_from_elsewhere(screen):
    screen.open("training")
    names = screen.js("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert names and all(name.startswith(screen.address) for name in names)


@pytest.mark.parametrize("page", ["play", "browse", "compare", "training"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_pages_fit_and_a_checker_of_accessibility_finds_nothing(screen, axe, page, size):
    screen.open("play", size).game("connect_four", "human", "run", simulations=4)
    screen.js("location.hash = arguments[0]", page)
    screen.until(lambda: screen.find(f"#{page}").is_displayed(), "the page is shown")
    widths = screen.js("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert widths[0] <= widths[1], "the page scrolls sideways"
    screen.js(axe)
    for scheme in ("dark", "light"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        screen.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        found = screen.driver.execute_async_script(
            "const done = arguments[0]; axe.run({resultTypes: ['violations']}).then((found) =>"
            "done(found.violations.map((one) => [one.help, one.nodes.map((node) => node.html)])))"
        )
        assert found == [], scheme


def test_buttons_of_the_board_are_large_enough_for_a_finger(screen):
    screen.open("play", PHONE).game("connect_four", "human", "human")
    sizes = screen.js(
        "return [...document.querySelectorAll('#play-board .cell')].map((e) => e.getBoundingClientRect().width)"
    )
    assert min(sizes) >= 40


def test_a_run_is_offered_as_what_it_can_play(chromium, tmp_path):
    """A run that searches, one of DQN whose network plays alone, and one of an environment, which plays no game."""
    runs = [make_run(tmp_path / name, with_games=False) for name in ("learned", "pole", "zero")]
    for run, settings in zip(runs, ({"algorithm": "dqn"}, {"algorithm": "dqn", "environment": "CartPole-v1"}, {})):
        change_settings(run, **settings)
    seat = "#seats .seat:nth-child(2)"
    with served(*runs) as address:
        screen = Screen(chromium, address).open()
        screen.form("connect_four")
        assert screen.js(f"return document.querySelector('{seat} > select').value") == "run"
        for kind, names in (("net", ["learned", "zero"]), ("run", ["zero"])):
            screen.choose(f"{seat} > select", kind)
            offered = screen.all(f"{seat} .run select:first-child option")
            assert [option.get_property("textContent") for option in offered] == names
        assert screen.leave().errors() == []
    with served(runs[0]) as address:
        screen = Screen(chromium, address).open()
        screen.form("connect_four")
        assert "run" not in [option.get_attribute("value") for option in screen.all(f"{seat} > select option")]
        assert screen.leave().errors() == []
