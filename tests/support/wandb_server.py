"""A stand-in for the server of W&B: rows, files and artifacts of runs, and a sweep, as far as the package asks.

    python wandb_server.py FOLDER

It writes its port into FOLDER/port when it listens, and what it has into FOLDER/state.json after every change. While it
runs it looks at files there, which a test may write:

    faults.json    {operation: "hang" | "error" | "refuse"}   what happens to requests of that operation
    sweep.yaml     the sweep that an agent asks for
    commands.json  [command]   what the agent is told at its next heartbeat; then the file goes
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PROJECT = {"id": "UHJvamVjdDox", "internalId": "UHJvamVjdEludGVybmFsSWQ6MQ==", "name": "p", "entity": {"name": "me"}}
HANG_SECONDS = 600.0
"""How long a request that hangs is held, which is longer than any test."""


class State:
    """What has arrived. A lock keeps two requests from writing the file at once."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port, self.lock = folder, port, threading.Lock()
        self.path = folder / "state.json"
        kept = json.loads(self.path.read_text()) if self.path.exists() else {}
        self.rows: list[str] = kept.get("rows", [])
        self.runs: list[dict[str, Any]] = kept.get("runs", [])
        self.artifacts: dict[str, dict[str, Any]] = kept.get("artifacts", {})
        self.deleted: list[str] = kept.get("deleted", [])
        self.unknown: list[str] = kept.get("unknown", [])
        """Operations that had no answer."""
        self.largest: int = kept.get("largest", 0)
        """Largest number of bytes that all artifacts had together."""
        self.summary: dict[str, Any] = kept.get("summary", {})
        self.exit_codes: list[int] = kept.get("exit_codes", [])
        self.heartbeats: list[str] = kept.get("heartbeats", [])

    def save(self) -> None:
        names = (
            "rows", "runs", "artifacts", "deleted", "unknown", "largest", "summary", "exit_codes", "heartbeats",
        )  # fmt: skip
        temporary = self.path.with_suffix(".new")
        temporary.write_text(json.dumps({name: getattr(self, name) for name in names}))
        temporary.replace(self.path)

    def given(self, name: str) -> Any:
        """What a test has written into a file, or None."""
        try:
            return json.loads((self.folder / name).read_text())
        except (OSError, ValueError):  # not there, or half written
            return None

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/files/{name}"

    def store(self, name: str, size: int) -> None:
        """A file of `size` bytes has come to `url(name)`."""
        owner = name.partition("/")[0]
        if owner in self.artifacts:
            self.artifacts[owner]["bytes"] += size
            self.largest = max(self.largest, sum(one["bytes"] for one in self.artifacts.values()))

    def take(self, files: dict[str, Any]) -> None:
        """Rows and summary of a running run."""
        self.rows += files.get("wandb-history.jsonl", {}).get("content", [])
        for text in files.get("wandb-summary.json", {}).get("content", []):
            self.summary |= json.loads(text)

    # Answers by the name of the operation.

    def Viewer(self, given: dict[str, Any]) -> Any:
        more = {"email": "a@b.c", "name": "me", "admin": False, "flags": "{}", "apiKeys": {"edges": []}}
        return {"viewer": {"id": "u", "entity": "me", "username": "me", "teams": {"edges": []}, **more}}

    def GetDefaultEntity(self, given: dict[str, Any]) -> Any:
        return {"viewer": {"id": "u", "entity": "me"}}

    def ServerFeaturesQuery(self, given: dict[str, Any]) -> Any:
        return {"serverInfo": {"features": []}}

    def OrganizationCoreWeaveOrganizationID(self, given: dict[str, Any]) -> Any:
        return {"entity": {"organization": {"coreWeaveOrganizationId": None}}}

    def RunResumeStatus(self, given: dict[str, Any]) -> Any:
        bucket = {
            "id": "b", "name": given["name"], "displayName": "n", "summaryMetrics": "{}", "eventsLineCount": 0,
            "historyLineCount": len(self.rows), "logLineCount": 0, "historyTail": json.dumps(self.rows[-1:]),
            "eventsTail": "[]", "config": "{}", "tags": [], "wandbConfig": '{"t":1}',
        }  # fmt: skip
        return {"model": {**PROJECT, "bucket": bucket if self.rows else None}}

    def UpsertBucket(self, given: dict[str, Any]) -> Any:
        self.runs.append({name: given.get(name) for name in ("name", "sweep", "groupName", "jobType", "tags", "notes")})
        bucket = {"id": "b", "name": given["name"], "displayName": "n", "config": "{}", "sweepName": given.get("sweep")}
        return {"upsertBucket": {"bucket": {**bucket, "project": PROJECT}, "inserted": not self.rows}}

    def CreateRunFiles(self, given: dict[str, Any]) -> Any:
        files = [{"name": name, "uploadUrl": self.url(name)} for name in given["files"]]
        return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}

    def SweepWithRuns(self, given: dict[str, Any]) -> Any:
        sweep = {"name": given["sweep"], "state": "RUNNING", "runs": {"edges": []}}
        return {"project": {"sweep": {**sweep, "config": (self.folder / "sweep.yaml").read_text()}}}

    def CreateAgent(self, given: dict[str, Any]) -> Any:
        return {"createAgent": {"agent": {"id": "agent1"}}}

    def Heartbeat(self, given: dict[str, Any]) -> Any:
        self.heartbeats.append(given["runState"])
        commands = self.given("commands.json") or []
        (self.folder / "commands.json").unlink(missing_ok=True)
        return {"agentHeartbeat": {"agent": {"id": "agent1"}, "commands": json.dumps(commands)}}

    def ArtifactType(self, given: dict[str, Any]) -> Any:
        return {"project": {"artifact": {"artifactType": {"name": "model"}} if self.artifacts else None}}

    def CreateArtifact(self, given: dict[str, Any]) -> Any:
        what, number = given["input"], len(self.artifacts) + len(self.deleted)
        aliases = [one["alias"] for one in what["aliases"]]
        made = {"number": number, "is_whole": False, "aliases": aliases, "metadata": what.get("metadata"), "bytes": 0}
        self.artifacts[f"a{number}"] = made
        sequence = {"id": "s", "latestArtifact": None}
        return {"createArtifact": {"artifact": {"id": f"a{number}", "state": "PENDING", "artifactSequence": sequence}}}

    def CreateArtifactManifest(self, given: dict[str, Any]) -> Any:
        name = "wandb_manifest.json"
        file = {"id": "f", "name": name, "displayName": name, "uploadUrl": self.url(name), "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": "m", "file": file}}}

    def CreateArtifactFiles(self, given: dict[str, Any]) -> Any:
        nodes = [
            {
                "id": "f", "name": one["name"], "displayName": one["name"], "uploadHeaders": [],
                "uploadUrl": self.url(f"{one['artifactID']}/{one['name']}"), "storagePath": one["name"],
                "uploadMultipartUrls": None,
                "artifact": {"id": one["artifactID"]},
            }
            for one in given["input"]["artifactFiles"]
        ]  # fmt: skip
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def CommitArtifact(self, given: dict[str, Any]) -> Any:
        made = self.artifacts[given["artifactID"]]
        for other in self.artifacts.values():
            if other is not made:
                other["aliases"] = [alias for alias in other["aliases"] if alias not in made["aliases"]]
        made["is_whole"] = True
        return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": "d"}}}

    def ProjectArtifactCollection(self, given: dict[str, Any]) -> Any:
        if not self.artifacts:
            return {"project": {"artifactType": None}}
        more = {"id": "c", "description": None, "createdAt": "2026-01-01T00:00:00Z", "updatedAt": None}
        collection = {**self._sequence(given["name"]), **more, "type": {"name": "model"}, "tags": {"edges": []}}
        return {"project": {"artifactType": {"artifactCollection": collection}}}

    def ProjectArtifacts(self, given: dict[str, Any]) -> Any:
        sequence = self._sequence(given["collection"])
        edges = [
            {"version": f"v{one['number']}", "node": self._artifact(name, one, sequence)}
            for name, one in reversed(self.artifacts.items())
            if one["is_whole"]
        ]
        page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
        artifacts = {"totalCount": len(edges), "pageInfo": page, "edges": edges}
        collection = {"__typename": "ArtifactSequence", "artifacts": artifacts}
        return {"project": {"artifactType": {"artifactCollection": collection}}}

    def ArtifactByID(self, given: dict[str, Any]) -> Any:
        one = self.artifacts.get(given["id"])
        return {"artifact": None if one is None else self._artifact(given["id"], one, self._sequence("weights"))}

    def DeleteArtifact(self, given: dict[str, Any]) -> Any:
        name = given["input"]["artifactID"]
        if self.artifacts[name]["aliases"] and not given["input"]["deleteAliases"]:
            raise Refused("an artifact with aliases cannot be deleted")
        self.deleted.append(name)
        del self.artifacts[name]
        return {"result": {"artifact": {"id": name}}}

    def _sequence(self, name: str) -> dict[str, Any]:
        return {"__typename": "ArtifactSequence", "name": name, "project": PROJECT}

    def _artifact(self, name: str, one: dict[str, Any], sequence: dict[str, Any]) -> dict[str, Any]:
        aliases = [
            {"__typename": "ArtifactAlias", "id": alias, "alias": alias, "artifactCollection": sequence}
            for alias in one["aliases"]
        ]
        return {
            "__typename": "Artifact", "id": name, "artifactSequence": sequence, "versionIndex": one["number"],
            "artifactType": {"name": "model"}, "description": None, "metadata": one["metadata"],
            "ttlDurationSeconds": -2, "ttlIsInherited": False, "tags": [], "historyStep": None, "state": "COMMITTED",
            "size": one["bytes"], "digest": "d", "digestAlgorithm": "MANIFEST_MD5", "commitHash": "h", "fileCount": 4,
            "createdAt": "2026-01-01T00:00:00Z", "updatedAt": None, "aliases": aliases,
        }  # fmt: skip


class Refused(Exception):
    """An order that the server does not carry out; the text is for the one who gave it."""


class Handler(BaseHTTPRequestHandler):
    """GraphQL, rows, and files; anything else gets an empty answer."""

    protocol_version = "HTTP/1.1"
    state: State

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""

    def do_POST(self) -> None:
        data = self._body()
        if not self.path.endswith(("/graphql", "/file_stream")):
            self._reply({})
            return
        body = json.loads(data)
        with self.state.lock:
            fault = (self.state.given("faults.json") or {}).get(operation_of(self.path, body))
        if fault == "hang":
            time.sleep(HANG_SECONDS)
        if fault is not None:
            # 500 is tried again by the package, 200 with errors is an answer.
            self._reply({"errors": [{"message": "broken on purpose"}], "data": None}, 500 if fault == "error" else 200)
            return
        with self.state.lock:
            try:
                answer = self._answer(body)
            except Refused as refusal:
                answer = {"errors": [{"message": str(refusal)}], "data": None}
            self.state.save()
        self._reply(answer)

    def _answer(self, body: dict[str, Any]) -> Any:
        if self.path.endswith("/file_stream"):
            self.state.take(body.get("files") or {})
            if body.get("complete"):
                self.state.exit_codes.append(body["exitcode"])
            return {}
        operation = operation_of(self.path, body)
        if operation is None:
            return {}
        respond = getattr(self.state, operation, None)
        if respond is None:
            self.state.unknown.append(operation)
            return {"data": {}}
        return {"data": respond(body.get("variables") or {})}

    def do_PUT(self) -> None:
        size = len(self._body())
        with self.state.lock:
            self.state.store(self.path.removeprefix("/files/"), size)
            self.state.save()
        self._reply({})

    def do_GET(self) -> None:
        self._reply({})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _reply(self, answer: Any, status: int = 200) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def operation_of(path: str, body: dict[str, Any]) -> str | None:
    """The name of a request in GraphQL, `file_stream` for rows, else None."""
    if path.endswith("/file_stream"):
        return "file_stream"
    named = re.search(r"(?:query|mutation)\s+(\w+)", body.get("query", "")) if path.endswith("/graphql") else None
    return named.group(1) if named else None


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Handler.state = State(folder, server.server_address[1])
    Handler.state.save()
    (folder / "port").write_text(f"{server.server_address[1]}\n")
    server.serve_forever()
