"""Takes events that beckn-receiver forwards: pip install standardwebhooks, then

    WEBHOOK_SECRET=whsec_… PORT=8000 python app.py
"""
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook

webhook = Webhook(os.environ["WEBHOOK_SECRET"])
seen = set()  # of yours: a unique column, in the transaction that does the work


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
        delivery = self.headers["webhook-id"]
        if delivery not in seen:  # the same event comes again until it was answered 2xx
            event = json.loads(body)
            # One write: several threads print.
            print(f"{delivery} {event.get('action')} {event.get('order_id')}\n", end="", flush=True)
            seen.add(delivery)
        self.answer(200)

    def answer(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Events).serve_forever()
