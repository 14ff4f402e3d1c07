"""A stand-in for the server of W&B: takes rows, files and artifacts of one run, as far as the package asks for answers.

    python wandb_server.py PORT_FILE STATE.json

It writes its port into PORT_FILE when it listens, and what it has into STATE.json after every change.
"""

from __future__ import annotations

import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PROJECT = {"id": "UHJvamVjdDox", "internalId": "UHJvamVjdEludGVybmFsSWQ6MQ==", "name": "p", "entity": {"name": "me"}}
ARTIFACT_BYTES = 26_000
"""What every artifact counts."""


class State:
    """What has arrived."""

    def __init__(self, path: Path, port: int) -> None:
        self.path, self.port = path, port
        kept = json.loads(path.read_text()) if path.exists() else {}
        self.rows: list[str] = kept.get("rows", [])
        self.runs: list[dict[str, Any]] = kept.get("runs", [])
        self.artifacts: dict[str, dict[str, Any]] = kept.get("artifacts", {})
        self.deleted: list[str] = kept.get("deleted", [])

    def save(self) -> None:
        names = ("rows", "runs", "artifacts", "deleted")
        temporary = self.path.with_suffix(".new")
        temporary.write_text(json.dumps({name: getattr(self, name) for name in names}))
        temporary.replace(self.path)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/files/{name}"

    # Answers by the name of the operation.

    def Viewer(self, given: dict[str, Any]) -> Any:
        more = {"email": "a@b.c", "name": "me", "admin": False, "flags": "{}", "apiKeys": {"edges": []}}
        return {"viewer": {"id": "u", "entity": "me", "username": "me", "teams": {"edges": []}, **more}}

    def GetDefaultEntity(self, given: dict[str, Any]) -> Any:
        return {"viewer": {"id": "u", "defaultEntity": {"name": "me"}}}

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

    def ArtifactType(self, given: dict[str, Any]) -> Any:
        return {"project": {"artifact": {"artifactType": {"name": "model"}} if self.artifacts else None}}

    def CreateArtifact(self, given: dict[str, Any]) -> Any:
        what, number = given["input"], len(self.artifacts) + len(self.deleted)
        aliases = [one["alias"] for one in what["aliases"]]
        made = {"number": number, "is_whole": False, "aliases": aliases, "metadata": what.get("metadata")}
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
                "id": "f", "name": one["name"], "displayName": one["name"], "uploadUrl": self.url(one["name"]),
                "uploadHeaders": [], "storagePath": one["name"], "uploadMultipartUrls": None,
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

    def DeleteArtifact(self, given: dict[str, Any]) -> Any:
        name = given["input"]["artifactID"]
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
            "size": ARTIFACT_BYTES, "digest": "d", "digestAlgorithm": "MANIFEST_MD5", "commitHash": "h", "fileCount": 4,
            "createdAt": "2026-01-01T00:00:00Z", "updatedAt": None, "aliases": aliases,
        }  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    """GraphQL, rows, and files; anything else gets an empty answer."""

    protocol_version = "HTTP/1.1"
    state: State

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""

    def do_POST(self) -> None:
        body, answer = self.rfile.read(int(self.headers.get("Content-Length", 0))), {}
        if self.path.endswith("/file_stream"):
            files = json.loads(body).get("files") or {}
            self.state.rows += files.get("wandb-history.jsonl", {}).get("content", [])
        elif self.path.endswith("/graphql"):
            order = json.loads(body)
            named = re.search(r"(?:query|mutation)\s+(\w+)", order["query"])
            respond = getattr(self.state, named.group(1), None) if named else None
            answer = {"data": respond(order.get("variables") or {}) if respond else {}}
        self.state.save()
        self._reply(answer)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._reply({})

    def do_GET(self) -> None:
        self._reply({})

    def _reply(self, answer: Any) -> None:
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.state = State(Path(sys.argv[2]), server.server_address[1])
    Handler.state.save()
    Path(sys.argv[1]).write_text(f"{server.server_address[1]}\n")
    server.serve_forever()
