// Takes events that beckn-receiver forwards: npm install, then
//
//     WEBHOOK_SECRET=whsec_… PORT=8000 node app.mjs
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.WEBHOOK_SECRET);
const seen = new Set(); // of yours: a unique column, in the transaction that does the work

createServer(async (request, response) => {
  const answer = (status) => response.writeHead(status).end();
  try {
    // The signature is over the bytes as they came: verify before anything parses them.
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const event = webhook.verify(Buffer.concat(chunks), request.headers);
    const delivery = request.headers["webhook-id"];
    if (!seen.has(delivery)) { // the same event comes again until it was answered 2xx
      console.log(delivery, event.action, event.order_id);
      seen.add(delivery);
    }
    answer(200);
  } catch (wrong) {
    console.error(`not verified: ${wrong.message}`);
    answer(400);
  }
}).listen(Number(process.env.PORT), "127.0.0.1");
