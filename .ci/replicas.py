"""Plays examples/replicas/compose.yaml without an image engine.

PostgreSQL, three receivers, HAProxy and the buyer app are processes with what the files say:
environment, command, restart, health checks. Each receiver has an address of its own on loopback, and
a name server of ours tells HAProxy of them, as Docker's does. Then orders change their state by
callbacks that are posted through HAProxy while a receiver is killed, the database crashes, and a
receiver is asked to stop: every one that was ACKed has to be in the app's database once, and those of
an order in their order.
"""

import http.client
import json
import random
import re
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

import yaml

from database import Database
from services import ACK, PATIENCE, ROOT, SAMPLE, Run, Service
from services import check_build, expect, filled, free_port, image_environment, made_secrets

HERE = ROOT / "examples/replicas"
SELLERS = 8  # who post at the same time
STATES = ["Created", "Accepted", "In-progress", "Completed"]


def check(said):
    """Checks what no process here would notice."""
    expect(set(said["services"]) == {"balancer", "receiver", "postgres", "app"}, "four services")
    used, secrets = set(), set()
    for name, service in said["services"].items():
        expect(service["restart"] == "unless-stopped", f"{name} to be started again")
        mounted = service.get("volumes", [])
        used |= {volume.split(":")[0] for volume in mounted if volume[0] != "."}
        for file in (volume.split(":")[0] for volume in mounted if volume[0] == "."):
            expect((HERE / file).is_file(), f"the file {file}")
        secrets |= set(service.get("secrets", []))
        published = service.get("ports", [])
        if "build" in service:
            check_build(HERE, name, service)
        else:
            expect(re.fullmatch(r"[a-z]+:[0-9.]+(-alpine)?", service["image"]), f"a version of {name}")
        of_callbacks = ["127.0.0.1:8080:8080"] if name == "balancer" else []
        expect(published == of_callbacks, f"the callbacks' port alone, not {published} of {name}")
    expect(used == set(said["volumes"]), f"the volumes {used}")
    expect(secrets == set(said["secrets"]), f"the secrets {secrets}")
    receiver = said["services"]["receiver"]
    expect(receiver["depends_on"]["postgres"]["condition"] == "service_healthy", "a healthy database")
    expect(receiver["stop_grace_period"] == "60s", "time to hand over what is out")


class NameServer(threading.Thread):
    """Tells where the receivers are that run, as the engine's does."""

    def __init__(self, receivers):
        super().__init__(daemon=True)
        self.receivers, self.asked = receivers, 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]

    def run(self):
        while True:
            question, peer = self.socket.recvfrom(4096)
            self.asked += 1
            self.socket.sendto(self.answer(question), peer)

    def answer(self, question):
        end = question.index(b"\0", 12)
        labels, at = [], 12
        while at < end:
            labels.append(question[at + 1 : at + 1 + question[at]].decode())
            at += 1 + question[at]
        is_ours = labels == ["receiver"] and question[end + 1 : end + 3] == b"\0\1"
        running = [address for address, one in self.receivers.items() if one.is_running()]
        records = running if is_ours else []
        head = struct.pack(">2sHHHHH", question[:2], 0x8580, 1, len(records), 0, 0)
        name = struct.pack(">HHHIH", 0xC00C, 1, 1, 1, 4)
        return head + question[12 : end + 5] + b"".join(name + socket.inet_aton(a) for a in records)


def haproxy(work, said, names, ports):
    """Returns the balancer with the file that it comes with, where it listens and asks changed."""
    (volume,) = said["volumes"]
    text = (HERE / volume.split(":")[0]).read_text()
    at = free_port()
    for was, here in [
        ("bind :8080", f"bind 127.0.0.1:{at}"),
        ("nameserver docker 127.0.0.11:53", f"nameserver docker 127.0.0.1:{names.port}"),
        ("receiver:8080", f"receiver:{ports['8080']}"),
        ("check port 9090", f"check port {ports['9090']}"),
    ]:
        expect(text.count(was) == 1, f"{was} in haproxy.cfg")
        text = text.replace(was, here)
    changed = work / "haproxy.cfg"
    changed.write_text(text)
    return Service("balancer", ["haproxy", "-db", "-f", str(changed)], {}, work), at


def services(work, binary):
    """Returns the file's services as processes of this machine, and how to reach them."""
    said = yaml.safe_load((HERE / "compose.yaml").read_text())
    check(said)
    made = made_secrets(HERE / "compose.yaml", work)
    secrets = {name: made[of["environment"]] for name, of in said["secrets"].items()}
    for name, secret in secrets.items():
        (work / name).write_text(secret)
    said = said["services"]
    database = Database(work, said["postgres"], secrets)
    ports = {"8080": free_port(), "9090": free_port()}
    app = f"127.0.0.1:{free_port()}"
    (work / "data").mkdir()

    def local(value, host=""):
        value = filled(value, made)
        value = value.replace("@postgres:5432/", f"@127.0.0.1:{database.port}/")
        value = value.replace("/run/secrets/", f"{work}/").replace("http://app:8000", f"http://{app}")
        for port, here in ports.items():
            value = value.replace(f"0.0.0.0:{port}", f"{host}:{here}")
        return value.replace("0.0.0.0:8000", app).replace("/data", f"{work}/data")

    started = {"postgres": database.service}
    own = {key: local(value) for key, value in said["app"]["environment"].items()}
    started["app"] = Service("app", [sys.executable, "-u", str(HERE / "app/app.py")], own, work)
    # Each is a machine of its own, of which there are many on loopback.
    net, receivers = f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}", {}
    for number in range(1, said["receiver"]["deploy"]["replicas"] + 1):
        address, name = f"{net}.{number}", f"receiver-{number}"
        environment = image_environment() | said["receiver"]["environment"]
        own = {key: local(value, address) for key, value in environment.items()}
        receivers[address] = started[name] = Service(name, [binary], own, work)
    names = NameServer(receivers)
    names.start()
    started["balancer"], at = haproxy(work, said["balancer"], names, ports)
    (health,) = {part for part in said["receiver"]["healthcheck"]["test"] if part == "health"}
    return Play(started, work, database, receivers, ports["8080"], at, [binary, health])


class Seller(threading.Thread):
    """Posts the states of orders, each until it is ACKed, and the next one then."""

    def __init__(self, play, number):
        super().__init__(daemon=True)
        self.play, self.number, self.connection = play, number, None
        self.acked, self.refused, self.wrong = {}, [], []
        self.sample = json.loads(SAMPLE.read_text())

    def run(self):
        for turn in range(10_000):
            for state in STATES:
                if self.play.is_over:
                    return
                self.post(f"O-{self.number}-{turn}", state)

    def post(self, order, state):
        context, message = self.sample["context"], self.sample["message"]
        context["transaction_id"], context["message_id"] = f"t-{order}", f"m-{order}-{state}"
        message["order"]["id"], message["order"]["state"] = order, state
        body = json.dumps(self.sample)
        while not self.play.is_over:
            answer = self.answer(body)
            if answer == (200, ACK):
                self.acked[order] = self.acked.get(order, 0) + 1
                time.sleep(0.02)  # what the app can follow
                return
            self.refused.append(answer)
            if answer[0] not in (0, 502, 503):
                self.wrong.append(answer)
            time.sleep(0.2)

    def answer(self, body):
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.play.at, timeout=30)
            self.connection.request("POST", "/on_status", body)
            answer = self.connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException) as broken:
            self.connection = None
            return 0, repr(broken)


class Play(Run):
    """The services at work, and what is posted to them."""

    def __init__(self, started, work, database, receivers, callbacks, at, health):
        super().__init__(started, work)
        self.database, self.receivers, self.callbacks = database, receivers, callbacks
        self.at, self.health, self.is_over = at, health, False
        self.sellers = [Seller(self, number) for number in range(SELLERS)]

    def begin(self):
        """Starts each service when those that it depends on are healthy."""
        later = {name: service for name, service in self.services.items() if name != "postgres"}
        for service in later.values():
            service.stays_down = True
        self.until("the database is healthy", self.database.is_healthy)
        self.database.make()
        for service in later.values():
            service.stays_down = False
        self.until("all receivers are healthy", lambda: all(map(self.is_healthy, self.receivers.values())))
        self.until("the balancer takes connections", self.balancer_takes)

    def is_healthy(self, receiver):
        asked = subprocess.run(self.health, env=receiver.environment, capture_output=True, cwd=self.work)
        return asked.returncode == 0

    def balancer_takes(self):
        probe = Seller(self, "probe")
        return probe.answer("{}")[0] == 200

    def acks(self):
        return sum(sum(seller.acked.values()) for seller in self.sellers)

    def go_on(self, count=100):
        """Waits until so many more are ACKed."""
        enough = self.acks() + count
        self.until(f"{count} more callbacks are ACKed", lambda: self.acks() >= enough)

    def refusals(self):
        return [answer for seller in self.sellers for answer in seller.refused]

    def play(self):
        self.begin()
        self.post_everywhere()
        for seller in self.sellers:
            seller.start()
        self.go_on()
        told = {}
        for what, deed in [("killed", self.kill), ("crashed", self.crash), ("stopped", self.stop)]:
            self.until("no seller is refused any more", self.is_quiet)
            before = len(self.refusals())
            deed()
            self.go_on()
            told[what] = len(self.refusals()) - before
        self.is_over = True
        for seller in self.sellers:
            seller.join(PATIENCE)
        wrong = [answer for seller in self.sellers for answer in seller.wrong]
        expect(not wrong, f"ACKs and 503s alone, not {wrong[:3]}")
        # A request that meets the very end of a connection is posted again by its seller.
        expect(told["stopped"] <= SELLERS, f"hardly a seller to notice a receiver that stops: {told}")
        self.until("the app has every callback that was ACKed", self.is_all_taken)
        self.check_order()
        self.end()
        starts = {name: service.starts for name, service in self.services.items()}
        print(f"{self.acks()} callbacks were ACKed, each is in the app's database once; starts: {starts}")
        print(f"answers that a seller had to post again for: {told}")

    def post_everywhere(self):
        """Posts one callback to each receiver: one event comes of it."""
        for address in self.receivers:
            url = f"http://{address}:{self.callbacks}/on_status"
            curl = ["curl", "-sS", "--noproxy", "*", "--data-binary", f"@{SAMPLE}", url]
            answer = subprocess.run(curl, capture_output=True, text=True).stdout
            expect(answer == ACK, f"an ACK of {address}, not {answer}")
        self.until("the app has it", self.taken)

    def kill(self):
        """Kills a receiver, and lets the others take over what it had."""
        receiver = self.services["receiver-1"]
        receiver.stays_down = True
        receiver.kill()
        self.go_on()
        receiver.stays_down = False
        self.until("it is healthy again", lambda: self.is_healthy(receiver))

    def crash(self):
        self.database.crash()
        self.until("all receivers are healthy", lambda: all(map(self.is_healthy, self.receivers.values())))

    def stop(self):
        """Stops a receiver in order, as an upgrade does."""
        receiver = self.services["receiver-2"]
        receiver.stays_down = True
        receiver.process.send_signal(signal.SIGTERM)
        self.until("it has ended", lambda: not receiver.is_running())
        expect(receiver.process.returncode == 0, f"0, not {receiver.process.returncode}")
        receiver.stays_down = False
        self.until("it is healthy again", lambda: self.is_healthy(receiver))

    def is_quiet(self):
        """Returns whether nobody was refused for longer than a health check takes."""
        before, end = len(self.refusals()), time.monotonic() + 2
        while time.monotonic() < end:
            self.keep_running()
            time.sleep(0.1)
        return len(self.refusals()) == before

    def taken(self):
        out = self.services["app"].out
        # The last one may not be written to its end.
        lines = out.read_text().split("\n")[:-1] if out.exists() else []
        return [line.split() for line in lines]

    def is_all_taken(self):
        taken = Counter(order for _, _, order, _, _ in self.taken())
        acked = [of for seller in self.sellers for of in seller.acked.items()]
        return all(taken[order] >= count for order, count in acked)

    def check_order(self):
        came = defaultdict(list)
        for seq, _, order, state, _ in self.taken():
            came[order].append((int(seq), state))
        for seller in self.sellers:
            for order, count in seller.acked.items():
                # One more may be kept whose ACK was lost, when the end came.
                states = [state for _, state in came[order]]
                expect(states in (STATES[:count], STATES[: count + 1]), f"{count} of {order}: {states}")
                places = [seq for seq, _ in came[order]]
                expect(places == sorted(places), f"{order} in the order of the log: {places}")
        everywhere = json.loads(SAMPLE.read_text())["message"]["order"]["id"]
        expect(len(came[everywhere]) == 1, "one event of what was posted to each receiver")
        places = [seq for events in came.values() for seq, _ in events]
        expect(len(places) == len(set(places)), "each place of the log once")
        database = sqlite3.connect(self.work / "data/orders.db")
        (seen,) = database.execute("SELECT count(*) FROM seen").fetchone()
        expect(seen == len(places), f"{len(places)} deliveries, not {seen}")

    def end(self):
        running = [one for name, one in self.services.items() if name.startswith("receiver-")]
        for service in running:
            service.process.send_signal(signal.SIGTERM)
        for service in running:
            expect(service.process.wait(PATIENCE) == 0, f"{service.name} to end in order")


def main():
    begun = time.monotonic()
    work = Path(tempfile.mkdtemp())
    work.chmod(0o711)  # the database runs as another user
    play = services(work, sys.argv[1])
    try:
        play.play()
    finally:
        play.is_over = True
        for service in play.services.values():
            if service is not play.database.service and service.process is not None:
                service.kill()
        if play.database.service.is_running():
            play.database.crash()
            play.database.service.process.wait()
        shutil.rmtree(work)
    print(f"the compose file of the replicas holds ({time.monotonic() - begun:.0f} s)")


main()
