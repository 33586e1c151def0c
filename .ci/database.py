"""A PostgreSQL cluster of our own, as a service of a compose file says."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from services import Service, expect, free_port


def as_postgres(command):
    """The server runs for no root: then it runs as the user that its package has made."""
    if os.geteuid() != 0:
        return command
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]


def programs():
    """Returns where PostgreSQL's programs are, the newest."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    beside = shutil.which("initdb")
    return found[-1] if found else Path(os.path.realpath(beside)).parent


class Database:
    """The service `postgres`: a cluster in a directory of its own."""

    def __init__(self, work, said, secrets):
        self.said, self.port, self.programs = said, free_port(), programs()
        environment = said["environment"]
        self.user, self.name = environment["POSTGRES_USER"], environment["POSTGRES_DB"]
        password = environment["POSTGRES_PASSWORD_FILE"].removeprefix("/run/secrets/")
        self.password = secrets[password]
        directory = Path(tempfile.mkdtemp(dir=work))
        if os.geteuid() == 0:
            of = pwd.getpwnam("postgres")
            os.chown(directory, of.pw_uid, of.pw_gid)
        self.data = directory / "data"
        with tempfile.NamedTemporaryFile("w", dir=work) as file:
            os.chmod(file.name, 0o644)  # below a directory that does not list it
            file.write(self.password)
            file.flush()
            make = [f"--username={self.user}", f"--pwfile={file.name}", "--auth=scram-sha-256"]
            make += ["--encoding=UTF8", "--no-sync", "--pgdata", str(self.data)]
            self.run("initdb", *make)
        command = [str(self.programs / "postgres"), "-D", str(self.data)]
        command += ["-h", "127.0.0.1", "-k", "", "-p", str(self.port)]
        self.service = Service("postgres", as_postgres(command), {}, work)
        # A directory that it may not enter is a warning at each start.
        self.service.work = Path("/")

    def run(self, program, *arguments):
        command = as_postgres([str(self.programs / program), *arguments])
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")

    def is_healthy(self):
        said, command = self.said["healthcheck"]["test"][:2]
        expect((said, command) == ("CMD", "pg_isready"), "pg_isready to say that it is healthy")
        test = [str(self.programs / command), *self.said["healthcheck"]["test"][2:], f"--port={self.port}"]
        return subprocess.run(test, stdout=subprocess.DEVNULL).returncode == 0

    def make(self):
        """Makes the database, as the image does at its first start."""
        at = {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": self.user}
        environment = {**os.environ, **at, "PGPASSWORD": self.password}
        subprocess.run([self.programs / "createdb", self.name], check=True, env=environment)

    def crash(self):
        """Ends all of its processes without a checkpoint; `restart` brings it back."""
        self.run("pg_ctl", "stop", "--silent", "--mode=immediate", "--pgdata", str(self.data))
