"""What plays a compose file without an image engine: each service is a process of this machine, with
what the file and the Dockerfiles say. .ci/compose.py and .ci/replicas.py use it.
"""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "examples/payloads/on_status_ondc_1_2_5.json"
ACK = '{"message":{"ack":{"status":"ACK"}}}'
PATIENCE = 60  # seconds that anything may take


def expect(is_so, what):
    if not is_so:
        raise SystemExit(f"expected {what}")


def free_port(host="127.0.0.1"):
    with socket.socket() as listener:
        listener.bind((host, 0))
        return listener.getsockname()[1]


class Service:
    """A service's process, which is started again when it ends, as `restart` says."""

    def __init__(self, name, command, environment, work):
        self.name, self.command, self.starts = name, command, 0
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(work), **environment}
        self.work, self.out, self.log = work, work / f"{name}.out", work / f"{name}.log"
        self.process, self.stays_down = None, False

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def keep_running(self):
        if not self.is_running() and not self.stays_down:
            self.starts += 1
            with open(self.out, "ab") as out, open(self.log, "ab") as log:
                self.process = subprocess.Popen(
                    self.command, env=self.environment, cwd=self.work, stdout=out, stderr=log
                )

    def kill(self):
        self.process.kill()
        self.process.wait()


def filled(value, environment):
    return re.sub(r"\$\{(\w+):\?[^}]*\}", lambda place: environment[place.group(1)], value)


def made_secrets(compose_file, work):
    """Makes those of `.env` as the first lines of the file say."""
    text = compose_file.read_text()
    for line in re.findall(r"^# +(echo .*>>? \.env)$", text, re.MULTILINE):
        subprocess.run(line, shell=True, check=True, cwd=work)
    lines = (work / ".env").read_text().splitlines()
    made = dict(line.split("=", 1) for line in lines)
    expect(all(len(secret) >= 32 for secret in made.values()), f"secrets of some length: {made.keys()}")
    return made


def check_build(here, name, service):
    """Checks that what a service is built from is there."""
    build = service["build"]
    context = here / (build if isinstance(build, str) else build["context"])
    expect((context / "Dockerfile").is_file(), f"a Dockerfile for {name}")
    if isinstance(build, dict):
        features = build["args"]["FEATURES"].split(",")
        known = re.findall(r"^(\w+) = \[", (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
        expect(set(features) <= set(known), f"features of Cargo.toml, not {features}")


def image_environment():
    """Returns what the Dockerfile sets."""
    text = (ROOT / "Dockerfile").read_text()
    return dict(re.findall(r"\b(BECKN_RECEIVER_\w+)=(\S+)", text))


class Run:
    """The services at work."""

    def __init__(self, services, work):
        self.services, self.work = services, work

    def until(self, what, condition):
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                self.fail(f"waited in vain until {what}")
            self.keep_running()
            time.sleep(0.1)

    def keep_running(self):
        for service in self.services.values():
            service.keep_running()

    def fail(self, what):
        for service in self.services.values():
            tail = service.log.read_text()[-2_000:] if service.log.exists() else ""
            print(f"--- {service.name}, started {service.starts} times\n{tail}", file=sys.stderr)
        raise SystemExit(what)
