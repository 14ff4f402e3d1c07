"""The page's routes: files of the front end, and an interface in JSON under /api.

Reading is GET with numbers in the query, changing is POST with a JSON object; every answer is JSON, and every mistake
`{"error": "one line"}` with a status of 400 to 499 and no effect. docs/web.md lists the routes.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from selfplay.drawings.boards import side_names
from selfplay.web.browse import Browser, position_of
from selfplay.web.curves import Curves
from selfplay.web.differences import MOST_POSITIONS
from selfplay.web.films import Films
from selfplay.web.guard import Guard, answer, endpoint, file_endpoint
from selfplay.web.library import MAX_GAME_TEXT, Library
from selfplay.web.lobby import Lobby, read_seats
from selfplay.web.opponents import MAX_SIMULATIONS, SEARCHING, USUAL_SIMULATIONS, WITH_RUN, Opponents, can_solve
from selfplay.web.pasted import MAX_MOVES, MAX_TEXT, read_position
from selfplay.web.refusals import CONFLICT, Fields, Refused
from selfplay.web.sessions import Session
from selfplay.web.table import Table
from selfplay.web.thinking import ThinkingThread

KINDS_OF_FILES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

MAX_PLAYERS = 16
MAX_PLY = 1_000_000
MAX_COMPARED = 4


class Page:
    """The handlers of all routes, and the objects that they share."""

    def __init__(self, library: Library, seed: int) -> None:
        self.library = library
        self.opponents = Opponents(library, seed)
        self.thread = ThinkingThread()
        self.lobby = Lobby(self.thread, self.opponents, seed)
        self.browser = Browser(library)
        self.film_maker = Films(library)
        self.curves = [
            Curves(run.folder.metrics, next(iter(run.config.evaluation.opponents), ""), bool(run.config.environment))
            for run in library.runs
        ]

    def close(self) -> None:
        """End thinking, free the players."""
        self.film_maker.close()
        self.lobby.close()
        self.thread.close()
        self.opponents.close()

    # Reading.

    def setup(self, request: Request, fields: Fields) -> Any:
        """The games, runs, tournaments and limits to choose from."""
        runs = [
            {
                "name": run.name,
                "game": run.game.name,
                "rules": run.game.rules,
                "versions": run.versions(),
                "environment": run.config.environment,
                "searches": run.searches,
                "simulations": run.config.evaluation.num_simulations,
            }
            for run in self.library.runs
        ]
        tournaments = [
            {"name": entry.name, "game": entry.game.name, "players": list(entry.players)}
            for entry in self.library.tournaments
        ]
        limits = {"simulations": MAX_SIMULATIONS, "usual_simulations": USUAL_SIMULATIONS}
        kinds = {"searching": list(SEARCHING), "with_run": list(WITH_RUN)}
        return {
            "games": self.library.game_names(),
            "first_game": self.library.first_game(),
            "newest_run": self.library.newest_run(),
            "runs": runs,
            "tournaments": tournaments,
            "limits": limits,
            "kinds": kinds,
        }

    def game(self, request: Request, fields: Fields) -> Any:
        """A game before it begins: its rules, sides and first player."""
        game = self.library.load_game(fields.only("name").text("name", MAX_GAME_TEXT))
        start = Table(game)
        return {
            "name": game.name,
            "rules": game.rules,
            "players": game.num_players,
            "sides": side_names(game, start.view),
            "first": max(0, start.to_play),
            "solver": can_solve(game),
            "pretrained": self.library.pretrained(game) is not None,
            "strengths": [
                {"name": name, "seat": seat.as_json(), "label": self.opponents.label(seat)}
                for name, seat in self.opponents.strengths(game)
            ],
        }

    def state(self, request: Request, fields: Fields) -> Any:
        """A game under way."""
        revision = fields.only("revision").integer("revision", 0, MAX_PLY, -1)
        return self._session(request).state(revision)

    def shards(self, request: Request, fields: Fields) -> Any:
        """The shards of a run, or the games of one of them."""
        run = fields.only("run", "shard").integer("run", 0, MAX_PLY)
        shard = fields.integer("shard", 0, 10**12, None)
        if shard is None:
            return {"shards": self.browser.shards(run)}
        return {"games": self.browser.shard(run, shard)}

    def tournament(self, request: Request, fields: Fields) -> Any:
        """A page of the games of a tournament."""
        index = fields.only("tournament", "start").integer("tournament", 0, MAX_PLY)
        return self.browser.tournament(index, fields.integer("start", 0, 10**9, 0))

    def replay(self, request: Request, fields: Fields) -> Any:
        """A position of a finished game, the last one where no ply is given."""
        tournament = fields.integer("tournament", 0, MAX_PLY, None)
        fields.only(*(("run", "shard") if tournament is None else ("tournament",)), "number", "ply")
        number, ply = fields.integer("number", 0, 10**9), fields.integer("ply", 0, MAX_PLY, None)
        if tournament is not None:
            replay = self.browser.tournament_game(tournament, number)
        else:
            run, shard = fields.integer("run", 0, MAX_PLY), fields.integer("shard", 0, 10**12)
            replay = self.browser.self_play_game(run, shard, number)
        return position_of(replay, ply)

    def metrics(self, request: Request, fields: Fields) -> Any:
        """Training curves of a run."""
        run = fields.only("run").integer("run", 0, MAX_PLY)
        entry = self.library.run(run)
        return self.curves[run].as_json() | {"is_running": entry.is_running()}

    def films(self, request: Request, fields: Fields) -> Any:
        """The newest film of a run in an environment."""
        return self.film_maker.about(fields.only("run").integer("run", 0, MAX_PLY))

    def film_file(self, request: Request, fields: Fields) -> bytes:
        """A film that is ready."""
        fields.only("run", "version")
        return self.film_maker.data(fields.integer("run", 0, MAX_PLY), fields.integer("version", 0, 2**53))

    # Changing.

    def film(self, request: Request, fields: Fields) -> Any:
        """Film an episode."""
        fields.only("run", "version")
        return self.film_maker.begin(fields.integer("run", 0, MAX_PLY), fields.integer("version", 0, 2**53, None))

    def begin(self, request: Request, fields: Fields) -> Any:
        """A new game, maybe from the moves of another one."""
        fields.only("game", "seats", "moves")
        game = self.library.load_game(fields.text("game", MAX_GAME_TEXT))
        seats = read_seats(fields.items("seats", MAX_PLAYERS), game, self.opponents)
        moves = fields.items("moves", MAX_MOVES, [])
        if not all(type(move) is int and abs(move) < 2**62 for move in moves):
            raise Refused("moves: expected numbers of actions")
        return self.lobby.begin(Table(game, moves), seats).state()

    def move(self, request: Request, fields: Fields) -> Any:
        """A person's move."""
        fields.only("ply", "action")
        return self._changed(
            request, lambda s: s.move(fields.integer("ply", 0, MAX_PLY), fields.integer("action", 0, 2**62))
        )

    def undo(self, request: Request, fields: Fields) -> Any:
        """Take a move back."""
        fields.only("ply")
        return self._changed(request, lambda s: s.undo(fields.integer("ply", 0, MAX_PLY)))

    def seats(self, request: Request, fields: Fields) -> Any:
        """Other players or settings: swapped sides, more simulations."""
        fields.only("seats")
        values = fields.items("seats", MAX_PLAYERS)
        return self._changed(request, lambda s: s.set_seats(read_seats(values, s.table.game, self.opponents)))

    def position(self, request: Request, fields: Fields) -> Any:
        """A pasted position."""
        text = fields.only("text").text("text", MAX_TEXT)
        return self._changed(request, lambda s: s.set_table(read_position(s.table.game, text)))

    def hint(self, request: Request, fields: Fields) -> Any:
        """Ask a player for its opinion."""
        fields.only("ply", "player")

        def ask(session: Session) -> None:
            seat = self.opponents.read(fields.value("player"), session.table.game)
            if seat.is_human:
                raise Refused("player: a person cannot be asked")
            session.hint(fields.integer("ply", 0, MAX_PLY), seat)

        return self._changed(request, ask)

    def stop(self, request: Request, fields: Fields) -> Any:
        """End thinking now."""
        fields.only()
        return self._changed(request, lambda s: s.stop())

    def compare(self, request: Request, fields: Fields) -> Any:
        """Ask several players."""
        fields.only("ply", "players")
        values = fields.items("players", MAX_COMPARED)

        def ask(session: Session) -> None:
            seats = [self.opponents.read(value, session.table.game) for value in values]
            if not seats or any(seat.is_human for seat in seats):
                raise Refused("players: expected one player or more, and no person")
            session.compare(fields.integer("ply", 0, MAX_PLY), seats)

        return self._changed(request, ask)

    def differences(self, request: Request, fields: Fields) -> Any:
        """Look for positions of self-play games in which two players would play different moves."""
        fields.only("players")
        values = fields.items("players", MAX_COMPARED)

        def ask(session: Session) -> None:
            seats = [self.opponents.read(value, session.table.game) for value in values]
            if len(seats) < 2 or any(seat.is_human for seat in seats):
                raise Refused("players: expected two players or more, and no person")
            positions = self.browser.newest_positions(session.table.game, MOST_POSITIONS)
            if not positions:
                raise Refused("no run of this game has games of self-play on disk", CONFLICT)
            session.find_differences(seats, positions)

        return self._changed(request, ask)

    def _session(self, request: Request) -> Session:
        return self.lobby.get(request.path_params["id"])

    def _changed(self, request: Request, change: Callable[[Session], None]) -> Any:
        session = self._session(request)
        change(session)
        return session.state()


def make_app(library: Library, host: str = "127.0.0.1", seed: int = 0) -> Starlette:
    """The ASGI application. Its lifespan ends the thread that thinks."""
    page = Page(library, seed)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            page.close()

    get, post = ["GET"], ["POST"]
    game = "/api/games/{id:str}"
    routes = [
        Route("/api/setup", endpoint(page.setup), methods=get),
        Route("/api/game", endpoint(page.game), methods=get),
        Route("/api/shards", endpoint(page.shards), methods=get),
        Route("/api/tournament", endpoint(page.tournament), methods=get),
        Route("/api/replay", endpoint(page.replay), methods=get),
        Route("/api/metrics", endpoint(page.metrics), methods=get),
        Route("/api/film", endpoint(page.films), methods=get),
        Route("/api/film", endpoint(page.film), methods=post),
        Route("/api/film.mp4", file_endpoint(page.film_file, "video/mp4"), methods=get),
        Route("/api/games", endpoint(page.begin), methods=post),
        Route(game, endpoint(page.state), methods=get),
        Route(f"{game}/move", endpoint(page.move), methods=post),
        Route(f"{game}/undo", endpoint(page.undo), methods=post),
        Route(f"{game}/seats", endpoint(page.seats), methods=post),
        Route(f"{game}/position", endpoint(page.position), methods=post),
        Route(f"{game}/hint", endpoint(page.hint), methods=post),
        Route(f"{game}/stop", endpoint(page.stop), methods=post),
        Route(f"{game}/compare", endpoint(page.compare), methods=post),
        Route(f"{game}/differences", endpoint(page.differences), methods=post),
        *_files(),
    ]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(Guard, host=host)],
        exception_handlers={HTTPException: _http_error},
    )
    app.router.redirect_slashes = False  # no answer sends anybody elsewhere
    return app


def _files() -> list[Route]:
    """The front end. It is read once, so no request opens a file."""
    routes = []
    for path, file in _walk(resources.files("selfplay.web") / "static", "/static"):
        kind = KINDS_OF_FILES.get("." + file.name.rpartition(".")[2])
        if kind is not None:
            path = "/" if path == "/static/index.html" else path
            routes.append(Route(path, _sends(file.read_bytes(), kind), methods=["GET"]))
    return routes


def _walk(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    """All files in a folder and the folders in it, each with its path below `path`."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _walk(entry, f"{path}/{entry.name}")
        else:
            yield f"{path}/{entry.name}", entry


def _sends(data: bytes, kind: str) -> Callable[[Request], Response]:
    def send(request: Request) -> Response:
        return Response(data, media_type=kind)

    return send


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return answer({"error": {404: "there is nothing here", 405: "not that way"}.get(status, "refused")}, status)
