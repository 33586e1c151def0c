"""A buyer app: takes each event that the receivers forward once, whatever comes twice."""
import json
import os
import sqlite3
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook

webhook = Webhook(os.environ["WEBHOOK_SECRET"])
db = sqlite3.connect(os.environ["ORDERS_DB"], check_same_thread=False)
db.execute("CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY)")
db.execute("CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, state TEXT, seq INTEGER)")
one_at_a_time = threading.Lock()  # several receivers post at once


class Events(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # so that one connection serves many events

    def do_POST(self):
        # The signature is over the bytes as they came: verify before anything parses them.
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            webhook.verify(body, dict(self.headers), json_parse=False)
        except Exception as wrong:  # nothing that comes from outside may end in a 500
            print(f"not verified: {wrong}", file=sys.stderr)
            return self.answer(400)
        event = json.loads(body)
        with one_at_a_time:
            with db:  # one transaction: the id and the work, or neither
                new, state = take(self.headers["webhook-id"], event)
            if new:
                who = event["sender"] or "unverified"
                print(event["seq"], event["action"], event["order_id"], state, who)
        self.answer(200)

    def answer(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def take(delivery_id, event):
    if not db.execute("INSERT OR IGNORE INTO seen VALUES (?)", (delivery_id,)).rowcount:
        return False, None  # it came before
    order = ((event["callback"] or {}).get("message") or {}).get("order") or {}
    state = order.get("state")
    # A replay brings an older state: what came later stays.
    db.execute(
        """INSERT INTO orders VALUES (?, ?, ?) ON CONFLICT (id)
           DO UPDATE SET state = excluded.state, seq = excluded.seq WHERE seq < excluded.seq""",
        (event["order_id"], json.dumps(state), event["seq"]),
    )
    return True, state


class Server(ThreadingHTTPServer):
    request_queue_size = 128  # the connections of all receivers come at once


host, port = os.environ["LISTEN"].rsplit(":", 1)
Server((host, int(port)), Events).serve_forever()
