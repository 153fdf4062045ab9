"""What is behind the walls reaches neither the network nor a file of ours."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

TRY = """
import json, socket, sys, threading
from pathlib import Path
from models.processes.walls import enclose

home, mine, address = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
stand = enclose([mine / "in"], [mine / "out"])

def outcome(call):
    found = []
    def run():
        try:
            call()
            found.append("done")
        except OSError as error:
            found.append(type(error).__name__)
    thread = threading.Thread(target=run)  # threads are enclosed as well
    thread.start()
    thread.join()
    return found[0]

print(json.dumps({
    "stand": stand,
    "tcp": outcome(lambda: socket.create_connection(("127.0.0.1", address), 5)),
    "udp": outcome(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
    "unix": outcome(lambda: socket.socket(socket.AF_UNIX).connect(str(home / "socket"))),
    "secret": outcome((home / "token").read_text),
    "list": outcome(lambda: list(home.iterdir())),
    "write": outcome(lambda: (home / "new").write_text("x")),
    "remove": outcome((home / "token").unlink),
    "truncate": outcome(lambda: open(mine / "in" / "source", "r+").truncate()),
    "read": outcome((mine / "in" / "source").read_text),
    "make": outcome(lambda: (mine / "out" / "target").write_text("x")),
    "import": outcome(lambda: __import__("sqlite3")),
}))
"""


def test_neither_network_nor_files_are_reached(tmp_path: Path) -> None:
    home, mine = tmp_path / "home", tmp_path / "mine"
    for folder in (home, mine / "in", mine / "out"):
        folder.mkdir(parents=True)
    (home / "token").write_text("secret")
    (mine / "in" / "source").write_text("rows")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        local.bind(str(home / "socket"))
        local.listen()
        port = str(server.getsockname()[1])
        command = [sys.executable, "-c", TRY, str(home), str(mine), port]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=environment, cwd=mine / "in"
        )
    found = json.loads(done.stdout)
    stand = found.pop("stand")
    inside = ("read", "make", "import")
    assert {name: found.pop(name) for name in inside} == dict.fromkeys(inside, "done")
    network = {name: found.pop(name) for name in ("tcp", "udp", "unix")}
    assert "network" not in stand or set(network.values()) == {"PermissionError"}
    assert "files" not in stand or set(found.values()) == {"PermissionError"}
    assert (home / "token").read_text() == "secret" or "files" not in stand
    assert stand, "every kernel that is supported has one of them"
