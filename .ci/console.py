"""Walks through the console in Chromium: what it shows, its keys, and what hostile callbacks do.

Every page may load only what the receiver serves: a dialog, an error in the browser's console, a
breach of the content policy or a page wider than its window fails the walk.
"""

import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = json.loads((ROOT / "examples/payloads/on_status_ondc_1_2_5.json").read_text())
TRACK = json.loads((ROOT / "examples/payloads/on_track_ondc_1_2_5.json").read_text())
PATIENCE = 60  # seconds that anything may take
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}\u202eabc\u001b[31m"
WAY = [
    ("Accepted", "Pending"), ("In-progress", "Packed"), ("In-progress", "Agent-assigned"),
    ("In-progress", "Order-picked-up"), ("In-progress", "Out-for-delivery"), ("Completed", "Order-delivered"),
]


def port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def until(what, condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"waited in vain until {what}")
        time.sleep(0.05)


class Target:
    """The buyer app: takes events, or answers as it is told."""

    def __init__(self):
        self.status = 200
        target = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers.get("content-length", 0)))
                self.send_response(target.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Receiver:
    def __init__(self, binary, work, target):
        self.callbacks, self.operations = port(), port()
        more = os.environ.get("CONSOLE_SETTINGS")
        settings = work / "config.toml"
        settings.write_text(
            'subscriber_ids = ["buyer.example"]\n'
            '[dispatch]\nhandler = "app"\n'
            f'[handlers.app]\nkind = "forward"\nurl = "http://127.0.0.1:{target.port}/"\n'
            f'secrets_file = "{work / "webhook.secret"}"\n'
            + (Path(more).read_text() if more else "")
        )
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BECKN_RECEIVER_")}
        environment |= {
            "BECKN_RECEIVER_HTTP__LISTEN": f"127.0.0.1:{self.callbacks}",
            "BECKN_RECEIVER_OPERATIONS__LISTEN": f"127.0.0.1:{self.operations}",
            "BECKN_RECEIVER_INBOX__PATH": str(work / "inbox"),
            "BECKN_RECEIVER_INBOX__MIN_FREE_BYTES": "0",
        }
        keygen = [binary, "keygen", "--webhook", "--out", str(work / "webhook.secret")]
        subprocess.run(keygen, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.log = open(work / "receiver.log", "w")
        self.process = subprocess.Popen(
            [binary, "--config", settings, "serve"], env=environment, cwd=work, stdout=self.log, stderr=self.log
        )

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.operations}{path}", timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    def post(self, body, action="on_status", path=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.callbacks}/{path or action}"
        request = urllib.request.Request(url, data, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)["message"]["ack"]["status"]
        except urllib.error.HTTPError:
            return "NACK"

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        self.log.close()


def callback(order, state="In-progress", code="Order-picked-up", transaction=None, message=None, body=SAMPLE):
    body = json.loads(json.dumps(body))
    context = body["context"]
    context["transaction_id"] = transaction or f"transaction-of-{order}"
    context["message_id"] = message or f"message-{order}-{state}-{code}-{time.monotonic_ns()}"
    if "order" in body["message"]:
        told = body["message"]["order"]
        told["id"], told["state"] = order, state
        told["fulfillments"][0]["state"]["descriptor"]["code"] = code
    else:
        body["message"]["tracking"]["tags"][0]["list"][0]["value"] = order
    return body


class Walk:
    """A browser that minds everything a page must not do."""

    def __init__(self, browser, receiver, screenshots):
        self.receiver, self.screenshots, self.found = receiver, screenshots, []
        self.browser = browser
        self.context = browser.new_context(viewport={"width": 1360, "height": 900}, timezone_id="Asia/Kolkata")
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE * 1000)
        self.mind(self.page)
        self.base = f"http://127.0.0.1:{receiver.operations}"

    def mind(self, page):
        page.on("dialog", lambda dialog: (self.found.append(f"a dialog at {page.url}"), dialog.dismiss()))
        page.on("pageerror", lambda error: self.found.append(f"{page.url}: {error}"))
        page.on("console", lambda message: self.minded(page, message))

    def minded(self, page, message):
        if message.type not in ("error", "warning"):
            return
        text, place = message.text, message.location.get("url", "")
        if self.expected_status and f"status of {self.expected_status}" in text:
            return
        self.found.append(f"{page.url}: {text} ({place})")

    expected_status = None

    def go(self, path):
        self.page.goto(self.base + path)
        if self.page.locator("input[name=token]").count():
            token = Path(os.environ["CONSOLE_TOKEN"]).read_text().strip()
            self.page.fill("input[name=token]", token)
            self.page.press("input[name=token]", "Enter")
            self.page.wait_for_url(re.compile("/console/"))
            self.page.goto(self.base + path)
        self.look()

    def look(self):
        wide = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if wide > 0:
            self.found.append(f"{self.page.url} is {wide} px wider than its window")
        if self.page.locator("h1").count() != 1:
            self.found.append(f"{self.page.url} has not one heading")

    def shoot(self, pages):
        self.screenshots.mkdir(parents=True, exist_ok=True)
        for kind, scheme, width in [("light", "light", 1360), ("dark", "dark", 1360), ("phone", "light", 375), ("phone-dark", "dark", 375)]:
            self.page.set_viewport_size({"width": width, "height": 900 if width > 400 else 740})
            self.page.emulate_media(color_scheme=scheme)
            for name, path in pages.items():
                self.go(path)
                self.page.wait_for_timeout(150)
                self.page.screenshot(path=self.screenshots / f"{name}-{kind}.png", full_page=True)
        self.page.set_viewport_size({"width": 1360, "height": 900})
        self.page.emulate_media(color_scheme="light")

    def shoot_login(self):
        for scheme, width in [("light", 1360), ("dark", 1360), ("light", 375)]:
            self.page.set_viewport_size({"width": width, "height": 740})
            self.page.emulate_media(color_scheme=scheme)
            self.page.screenshot(path=self.screenshots / f"login-{scheme}-{width}.png")

    def done(self, what):
        if self.found:
            raise SystemExit(f"{what}:\n  " + "\n  ".join(self.found))
        print(f"ok: {what}", flush=True)


def arrives_live(walk, receiver):
    page = walk.page
    walk.go("/console/events")
    expect(page.locator("[data-live-text]")).to_have_text("live")
    # The row is put in without a reload.
    page.evaluate("window.still = true")
    assert receiver.post(callback("O-live")) == "ACK"
    row = page.locator("tr", has=page.get_by_text("O-live", exact=True))
    expect(row).to_be_visible(timeout=PATIENCE * 1000)
    expect(row.locator(".chip", has_text="done")).to_be_visible(timeout=PATIENCE * 1000)
    assert page.evaluate("window.still"), "the page was loaded again"
    page.click("[data-live-pause]")
    assert receiver.post(callback("O-unseen")) == "ACK"
    page.wait_for_timeout(5000)
    assert page.get_by_text("O-unseen").count() == 0, "a paused list has moved"
    page.click("[data-live-pause]")
    expect(page.get_by_text("O-unseen", exact=True)).to_be_visible(timeout=PATIENCE * 1000)
    walk.done("a callback arrives in the list while one looks at it")
    row.locator("[data-open]").click()
    expect(page.locator(".big-state")).to_have_text("In-progress")
    expect(page.get_by_text("Masala Dosa").first).to_be_visible()
    page.fill("[data-tree-search]", "agent")
    page.press("[data-tree-search]", "Enter")
    expect(page.locator(".is-here")).to_be_visible()
    page.locator("dd a[href^='/console/transactions/']").click()
    expect(page.locator(".picture svg")).to_be_visible()
    walk.look()
    walk.done("it is opened, its body searched, and its transaction found")


def refused(walk, receiver):
    page = walk.page
    body = callback("O-refused")
    body["context"]["bap_id"] = "another.example"
    assert receiver.post(body) == "NACK"
    until("the refusal is kept", lambda: "another.example" in text_of(walk, "/console/refusals"))
    page.locator("[data-open]").first.click()
    expect(page.get_by_text("/context/bap_id").first).to_be_visible()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("[data-copy]")
    expect(page.locator("[data-copy]")).to_have_text("Copied")
    letter = page.evaluate("navigator.clipboard.readText()")
    assert "Please change:" in letter and "another.example" in letter, letter
    walk.done("a refusal says why, and what to tell the seller is copied")


def text_of(walk, path):
    walk.go(path)
    return walk.page.inner_text("body")


def replayed(walk, receiver, target):
    page = walk.page
    target.status = 422
    assert receiver.post(callback("O-dead")) == "ACK"
    assert receiver.post(callback("O-dead-too")) == "ACK"
    until("both are dead letters", lambda: "O-dead-too" in text_of(walk, "/console/dead-letters") and "O-dead" in page.inner_text("tbody"))
    target.status = 200
    row = page.locator("tr", has=page.get_by_text("O-dead", exact=True))
    row.get_by_role("button").click()
    expect(page.get_by_role("status")).to_contain_text("Replay requested")
    until("it has gone", lambda: page.locator("tbody", has=page.get_by_text("O-dead", exact=True)).count() == 0 or walk.go("/console/dead-letters"))
    page.get_by_role("button", name=re.compile("^Replay (all|the one)")).click()
    until("none is left", lambda: page.get_by_text("Nothing was given up").count() == 1 or walk.go("/console/dead-letters"))
    walk.done("dead letters are replayed, one and all")


def paused(walk, receiver):
    page = walk.page
    walk.go("/console/handlers")
    page.get_by_role("button", name="Pause app").click()
    expect(page.get_by_role("status")).to_contain_text("paused")
    # The process takes the wish up within a poll: until then one more may be handed over.
    until("it waits", lambda: receiver.post(callback("O-waits")) == "ACK" and "paused: app" in text_of(walk, "/console/events?progress=pending") and "O-waits" in page.inner_text("tbody"))
    walk.go("/console/handlers")
    page.get_by_role("button", name="Resume app").click()
    until("nothing waits", lambda: "O-waits" not in text_of(walk, "/console/events?progress=pending"))
    walk.done("delivery is paused and resumed")


def expected_and_erased(walk, receiver):
    page = walk.page
    walk.go("/console/events")
    for message, seconds in [("message-of-O-erased", 600), ("never-comes", 1), ("is-waited-for", 600)]:
        transaction = "transaction-of-O-erased" if "erased" in message else f"transaction-of-{message}"
        wanted = {"action": "on_status", "message_id": message, "transaction_id": transaction, "ttl_s": seconds}
        ask = "wanted => fetch('/v1/expectations', {method: 'POST', body: JSON.stringify(wanted)}).then(answer => answer.status)"
        assert page.evaluate(ask, wanted) == 201
    assert receiver.post(callback("O-erased", message="message-of-O-erased")) == "ACK"
    until("one is met and one is silent", lambda: all(word in text_of(walk, "/console/expectations") and page.locator(".chip", has_text=word).count() for word in ("met", "silent")))
    until("the silence is an event", lambda: "silence" in text_of(walk, "/console/events?flag=silence"))
    walk.go("/console/transactions/transaction-of-O-erased")
    page.get_by_role("link", name="Erase …").click()
    expect(page.get_by_text("What stays")).to_be_visible()
    walk.look()
    walk.shoot({"erase": "/console/transactions/transaction-of-O-erased/erase"})
    page.get_by_role("button", name="Erase it").click()
    expect(page.get_by_role("status")).to_contain_text("Erasure requested")
    until("it is emptied", lambda: "O-erased" not in text_of(walk, "/console/events") and page.locator("[data-flag=erased]").count() > 0)
    page.locator("tr", has=page.locator("[data-flag=erased]")).first.locator("[data-open]").click()
    walk.look()
    walk.done("what was expected is seen, and a transaction is erased")


def logged_out(walk):
    page = walk.page
    walk.go("/console/events")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(re.compile("/console/login"))
    walk.shoot_login()
    walk.expected_status = 401
    page.fill("input[name=token]", "no token of ours at all")
    page.press("input[name=token]", "Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    walk.expected_status = None
    walk.done("one logs out, and a wrong token is told so")


def by_keys(walk):
    page = walk.page
    walk.go("/console/events")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "order_id"
    page.keyboard.type("O-way")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("order_id=O-way"))
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    first = page.locator("[data-open]").first
    assert first.evaluate("it => it === document.activeElement"), "j and k do not move"
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/console/events/0"))
    page.keyboard.press("s")
    page.keyboard.type("O-way")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/console/orders/O-way"))
    walk.go("/console/handlers")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").startswith("Pause"):
            break
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none", "the focus is not seen"
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("paused")
    page.get_by_role("button", name="Resume app").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("goes on")
    walk.done("everything is reached by keys")


def hostile(walk, receiver):
    bodies = []
    for one in (HOSTILE, "नमस्ते שלום مرحبا \u2067x\u2069", "L" * 10_000, "../../..%2f", ".."):
        body = callback(one[:300], one, one, one[:300], f"m-{one[:200]}")
        body["context"]["bpp_id"] = one[:200]
        body["message"]["order"]["items"][0]["id"] = one
        body["message"]["order"]["quote"]["breakup"][0]["title"] = one
        body["message"]["order"]["provider"]["descriptor"] = {"name": one}
        body["message"]["order"][one] = {one: [one, {"deep": one}]}
        bodies.append(body)
    bodies += [
        b'{"context":{"action":"on_status","transaction_id":"deep","message_id":"m","bap_id":"buyer.example"},"message":{"order":{"id":"deep","x":' + b"[" * 100 + b"]" * 100 + b"}}}",
        b'{"context":{"action":"on_status","transaction_id":"wide","message_id":"m","bap_id":"buyer.example"},"message":{"order":{"id":"wide","x":[' + b"0," * 100_000 + b"0]}}}",
        b'{"context":{"action":"on_status","transaction_id":"deeper","message_id":"m","bap_id":"buyer.example"},"message":{"order":{"id":"deeper"}},"x":' + b"[" * 9_000 + b"]" * 9_000 + b"}",
        {"context": {"bap_id": HOSTILE, "action": HOSTILE}, "message": {"order": {"id": HOSTILE}}},
    ]
    for body in bodies:
        receiver.post(body)
    receiver.post(callback("x"), path="on_%3Cscript%3Ealert(1)%3C")
    until("the refusals are kept", lambda: walk.page.locator("[data-open]").count() > 1 or walk.go("/console/refusals"))
    seen, queue = set(), ["/console/events?since=1h", "/console/refusals", "/console/events?seller=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "/console/audit", "/console/sellers"]
    while queue and len(seen) < 150:
        path = queue.pop(0)
        if path in seen:
            continue
        seen.add(path)
        walk.go(path)
        links = walk.page.eval_on_selector_all("main a[href^='/console/']", "all => all.map(it => it.getAttribute('href'))")
        queue += [link for link in links if link not in seen and "?said" not in link]
        if walk.page.evaluate("document.querySelectorAll('main script, main img, main iframe').length"):
            walk.found.append(f"{path} has markup of a callback")
    shown = text_of(walk, "/console/events?since=1h")
    # A list cuts long ids short.
    assert "<script>alert(1)" in shown, "hostile text is not shown as text"
    assert "\u202e" not in shown and "\u001b" not in shown
    walk.page.set_viewport_size({"width": 375, "height": 740})
    for path in sorted(seen)[:60]:
        walk.go(path)
    walk.page.set_viewport_size({"width": 1360, "height": 900})
    walk.done(f"hostile callbacks are text on {len(seen)} pages, also on a phone")


def without_a_script(walk, browser):
    context = browser.new_context(java_script_enabled=False, storage_state=walk.context.storage_state())
    page = context.new_page()
    page.goto(walk.base + "/console/events?order_id=O-way")
    assert re.search(r"\d\d:\d\d:\d\dZ", page.inner_text("tbody")), "times are UTC without a script"
    page.locator("[data-open]").first.click()
    assert page.locator(".tree details[open]").count() > 0
    context.close()
    walk.done("pages work without a script")


def main():
    binary, screenshots, work = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    target = Target()
    receiver = Receiver(binary, work, target)
    try:
        until("the receiver is ready", lambda: receiver.process.poll() is not None or receiver.get("/readyz") == 200)
        if receiver.process.poll() is not None:
            raise SystemExit("the receiver did not start")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            walk = Walk(browser, receiver, screenshots)
            for state, code in WAY:
                assert receiver.post(callback("O-way", state, code)) == "ACK"
                time.sleep(0.3)
            assert receiver.post(callback("O-way", body=TRACK), "on_track") == "ACK"
            again = callback("O-way", "Completed", "Order-delivered")
            again["message"]["order"]["cancellation_terms"] = "none"
            again["context"]["timestamp"] = "yesterday"
            receiver.post(again), receiver.post(again)
            arrives_live(walk, receiver)
            refused(walk, receiver)
            replayed(walk, receiver, target)
            paused(walk, receiver)
            expected_and_erased(walk, receiver)
            by_keys(walk)
            without_a_script(walk, browser)
            target.status = 422
            receiver.post(callback("O-given-up"))
            until("it is given up", lambda: "O-given-up" in text_of(walk, "/console/dead-letters"))
            target.status = 200
            walk.go("/console/events?order_id=O-way")
            event = walk.page.locator("[data-open]").first.get_attribute("href")
            walk.go("/console/refusals")
            refusal = walk.page.locator("[data-open]").first.get_attribute("href")
            pages = {
                "events": "/console/events", "event": event, "order": "/console/orders/O-way",
                "transaction": "/console/transactions/transaction-of-O-way", "refusals": "/console/refusals",
                "refusal": refusal, "dead-letters": "/console/dead-letters", "sellers": "/console/sellers",
                "seller": "/console/sellers/unverified%3Aseller.example", "handlers": "/console/handlers",
                "expectations": "/console/expectations", "audit": "/console/audit",
            }
            walk.shoot(pages)
            walk.expected_status = 404
            walk.shoot({"missing": "/console/nothing"})
            walk.expected_status = None
            hostile(walk, receiver)
            walk.shoot({"hostile": "/console/events?since=1h"})
            walk.done(f"screenshots are in {screenshots}")
            if os.environ.get("CONSOLE_TOKEN"):
                logged_out(walk)
            browser.close()
    except BaseException:
        print((work / "receiver.log").read_text()[-4000:], file=sys.stderr)
        raise
    finally:
        receiver.stop()


main()
