"""A buyer app: takes each event from NATS once, whatever comes twice."""
import asyncio
import json
import os
import sqlite3

import nats
from nats.errors import TimeoutError
from nats.js.errors import NotFoundError


async def subscribe(jetstream):
    while True:
        try:
            # The durable name keeps the place while this app is not running.
            return await jetstream.pull_subscribe("beckn.>", durable="orders", stream="BECKN")
        except NotFoundError:  # the receiver makes the stream with its first event
            await asyncio.sleep(1)


async def main():
    db = sqlite3.connect(os.environ["ORDERS_DB"])
    db.execute("CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY)")
    db.execute("CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, state TEXT, seq INTEGER)")
    connection = await nats.connect(
        os.environ["NATS_URL"],
        user=os.environ.get("NATS_USER"),
        password=os.environ.get("NATS_PASSWORD"),
        max_reconnect_attempts=-1,
    )
    consumer = await subscribe(connection.jetstream())
    while True:
        try:
            messages = await consumer.fetch(batch=50, timeout=5)
        except TimeoutError:
            continue
        for message in messages:
            event = json.loads(message.data)
            with db:  # one transaction: the id and the work, or neither
                new, state = take(db, message.headers["Nats-Msg-Id"], event)
            if new:
                who = event["sender"] or "unverified"
                print(event["seq"], event["action"], event["order_id"], state, who)
            await message.ack()


def take(db, delivery_id, event):
    if not db.execute("INSERT OR IGNORE INTO seen VALUES (?)", (delivery_id,)).rowcount:
        return False, None  # it came before
    order = (event["callback"].get("message") or {}).get("order") or {}
    state = order.get("state")
    # A replay brings an older state: what came later stays.
    db.execute(
        """INSERT INTO orders VALUES (?, ?, ?) ON CONFLICT (id)
           DO UPDATE SET state = excluded.state, seq = excluded.seq WHERE seq < excluded.seq""",
        (event["order_id"], json.dumps(state), event["seq"]),
    )
    return True, state


asyncio.run(main())
