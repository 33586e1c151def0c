"""Plays examples/compose/compose.yaml without an image engine.

Each service is a process with what the file and the Dockerfiles say: environment, command,
restart. Hosts' names become ports of this machine, mounted paths become paths below a directory.
Then callbacks are posted while NATS and the receiver are killed, and each order has to be in the
app's database once.
"""

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from services import ACK, PATIENCE, ROOT, SAMPLE, Run, Service
from services import check_build, expect, filled, free_port, image_environment, made_secrets

HERE = ROOT / "examples/compose"


def services(work, binary):
    """Returns the file's services as processes of this machine, and the receiver's address."""
    said = yaml.safe_load((HERE / "compose.yaml").read_text())
    check(said)
    environment = made_secrets(HERE / "compose.yaml", work)
    expect(set(environment) == {"NATS_PASSWORD"}, "the password of NATS")
    ports = {"8080": free_port(), "9090": free_port(), "4222": free_port()}
    started = {}
    for name, service in said["services"].items():
        mounts = mounted(work, service)
        own = {key: filled(value, environment) for key, value in service["environment"].items()}
        if name == "receiver":
            own = image_environment() | own
            command = [binary]
        elif name == "app":
            command = [sys.executable, "-u", str(HERE / "app/app.py")]
        else:
            command = ["nats-server", *service["command"]]
        own = {key: local(value, ports, mounts) for key, value in own.items()}
        command = [local(part, {}, mounts) for part in command]
        started[name] = Service(name, command, own, work)
    conf = started["nats"].command[-1]
    started["nats"].command[-1] = nats_settings(work, Path(conf), ports["4222"])
    return started, f"http://127.0.0.1:{ports['8080']}"


def check(said):
    """Checks what no process here would notice."""
    expect(set(said["services"]) == {"receiver", "nats", "app"}, "receiver, nats and app")
    used = set()
    for name, service in said["services"].items():
        expect(service["restart"] == "unless-stopped", f"{name} to be started again")
        used |= {volume.split(":")[0] for volume in service["volumes"] if volume[0] != "."}
        if "build" in service:
            check_build(HERE, name, service)
    expect(used == set(said["volumes"]), f"the volumes {used}")
    published = said["services"]["receiver"]["ports"]
    expect(published == ["127.0.0.1:8080:8080"], f"the callbacks' port alone, not {published}")


def mounted(work, service):
    """Returns where each path of the container is here."""
    paths = {}
    for volume in service["volumes"]:
        source, target = volume.split(":")[:2]
        paths[target] = HERE / source if source[0] == "." else work / source
        if source[0] != ".":
            paths[target].mkdir(exist_ok=True)
        else:
            expect(paths[target].is_file(), f"the file {source}")
    return paths


def local(text, ports, mounts):
    for host in ("0.0.0.0", "nats"):
        for inside, port in ports.items():
            here = "127.0.0.1" if host == "nats" else host
            text = text.replace(f"{host}:{inside}", f"{here}:{port}")
    for target, source in mounts.items():
        if text == target or text.startswith(f"{target}/"):
            text = str(source) + text.removeprefix(target)
    return text


def nats_settings(work, conf, port):
    """Returns a file with the server's settings, where it listens and stores changed."""
    text = conf.read_text()
    for said, here in [("port: 4222", f"listen: 127.0.0.1:{port}"), ("/data", f'"{work}/nats"')]:
        expect(said in text, f"{said} in {conf.name}")
        text = text.replace(said, here)
    version = subprocess.run(["nats-server", "--version"], capture_output=True, text=True).stdout
    major, minor = re.search(r"v(\d+)\.(\d+)", version).groups()
    if (int(major), int(minor)) < (2, 10):
        expect("sync_interval: always" in text, "a sync for each event")
        text = text.replace("sync_interval: always", "")
        print(f"left out of nats.conf: sync_interval: always, which {version.strip()} does not know")
    changed = work / "nats.conf"
    changed.write_text(text)
    return str(changed)


class Play(Run):
    """The services at work, and what was posted to them."""

    def __init__(self, started, url, work):
        super().__init__(started, work)
        self.url, self.posted = url, {}

    def post(self, number):
        """Posts an order of its own until it is ACKed, as a seller does."""
        callback = json.loads(SAMPLE.read_text())
        order = f"O-{number}"
        callback["context"]["transaction_id"] = callback["context"]["message_id"] = f"t-{number}"
        callback["message"]["order"]["id"] = order
        body = self.work / "callback.json"
        body.write_text(json.dumps(callback))
        self.until(f"{order} is ACKed", lambda: self.is_acked(body))
        self.posted[order] = callback["message"]["order"].get("state")

    def is_acked(self, body):
        curl = ["curl", "-sS", "--noproxy", "*", "--data-binary", f"@{body}"]
        posted = subprocess.run([*curl, f"{self.url}/on_status"], capture_output=True, text=True)
        return posted.stdout == ACK

    def printed(self):
        out = self.services["app"].out
        lines = out.read_text().splitlines() if out.exists() else []
        return [line.split()[2] for line in lines if line.split()[1] == "on_status"]

    def all_printed(self):
        self.until("the app has printed every order", lambda: set(self.posted) <= set(self.printed()))

    def play(self):
        self.post("first")
        self.all_printed()
        for name in ("nats", "receiver"):
            self.services[name].kill()
            for number in range(5):
                self.post(f"{name}-{number}")
            self.all_printed()
        for service in self.services.values():
            service.process.send_signal(signal.SIGTERM)
        for service in self.services.values():
            service.process.wait(PATIENCE)
        self.check_database()

    def check_database(self):
        database = sqlite3.connect(self.work / "orders/orders.db")
        kept = dict(database.execute("SELECT id, state FROM orders"))
        expect(kept == {id: json.dumps(state) for id, state in self.posted.items()}, "each order")
        (events,) = database.execute("SELECT count(*) FROM seen").fetchone()
        expect(events == len(self.posted) == len(self.printed()), "each event once")
        starts = {name: service.starts for name, service in self.services.items()}
        print(f"{len(kept)} orders are in the app's database, each once; starts: {starts}")


def main():
    begun = time.monotonic()
    work = Path(tempfile.mkdtemp())
    started, url = services(work, sys.argv[1])
    try:
        Play(started, url, work).play()
    finally:
        for service in started.values():
            if service.process is not None:
                service.kill()
        shutil.rmtree(work)
    print(f"the compose file holds ({time.monotonic() - begun:.0f} s)")


main()
