"use strict";
// What reaches a server behind the proxy, told by Express and ws; mirror.py says what each path is.

const crypto = require("node:crypto");
const http = require("node:http");
const path = require("node:path");
const express = require("express");
const { WebSocketServer } = require("ws");

const PIECE = Buffer.alloc(1 << 16, "x");

class Queue {
  #items = [];
  #takers = [];

  put(item) {
    const taker = this.#takers.shift();
    if (taker) taker(item);
    else this.#items.push(item);
  }

  take(taker) {
    if (this.#items.length) taker(this.#items.shift());
    else this.#takers.push(taker);
  }

  forget(taker) {
    this.#takers = this.#takers.filter((each) => each !== taker);
  }
}

// One queue for each word and id, made when it is first asked for.
const queues = {};
const queue = (word, id) => (queues[`${word} ${id}`] ??= new Queue());

const app = express();

app.all("/hash", async (request, response) => {
  const digest = crypto.createHash("sha256");
  let length = 0;
  for await (const data of request) {
    digest.update(data);
    length += data.length;
  }
  response.json({ method: request.method, length, sha256: digest.digest("hex"), fields: request.headers });
});

const give = async (response, count) => {
  for (let left = count; left > 0; left -= PIECE.length) {
    if (!response.write(PIECE.subarray(0, Math.min(left, PIECE.length)))) {
      await new Promise((resolve) => response.once("drain", resolve));
    }
  }
  response.end();
};

app.get("/bytes/:count", (request, response) => {
  const count = Number(request.params.count);
  response.set("Content-Length", String(count));
  return give(response, count);
});

app.get("/stream/:count", (request, response) => give(response, Number(request.params.count)));

app.get("/events", (request, response) => {
  const { id } = request.query;
  let number = Number(request.get("Last-Event-ID") ?? 0);
  response.set("Content-Type", "text/event-stream");
  response.write(`retry: 10\ndata: after ${number}\n\n`);
  const hear = (word) => {
    if (word === "end") {
      response.end();
      return;
    }
    response.write(`id: ${++number}\ndata: ${word}\n\n`);
    queue("said", id).take(hear);
  };
  queue("said", id).take(hear);
  response.on("close", () => {
    queue("said", id).forget(hear);
    if (!response.writableEnded) queue("gone", id).put(true);
  });
});

app.get("/forever", (request, response) => {
  const more = () => {
    while (response.write(PIECE));
  };
  response.on("drain", more);
  response.on("close", () => queue("gone", request.query.id).put(true));
  more();
});

app.all("/say", (request, response) => {
  queue("said", request.query.id).put(request.query.data);
  response.end();
});

app.get("/gone", (request, response) => queue("gone", request.query.id).take(() => response.end()));
app.get("/closed", (request, response) => queue("closed", request.query.id).take((how) => response.json(how)));
app.use(express.static(path.join(__dirname, "page")));

const server = http.createServer(app);
const sockets = new WebSocketServer({
  server,
  path: "/ws",
  perMessageDeflate: true,
  handleProtocols: (wanted) => [...wanted].at(-1),
});

sockets.on("connection", (socket, request) => {
  const id = new URL(request.url, "http://x").searchParams.get("id");
  socket.on("message", (data, isBinary) => {
    const text = isBinary ? "" : data.toString();
    const asked = /^close (\d+) (.*)$/.exec(text);
    if (asked) socket.close(Number(asked[1]), asked[2]);
    else socket.send(isBinary ? data : text);
  });
  socket.on("close", (code, reason) => id && queue("closed", id).put({ code, reason: reason.toString() }));
});

server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => console.log(`port ${server.address().port}`));
