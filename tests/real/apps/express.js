"use strict";
// node express.js FOLDER: what frameworks do beside plain answers.

const express = require("express");

const app = express();

app.use("/files", express.static(process.argv[2]));

// The head of the page is known before the page.
app.get("/hints", (request, response) => {
  response.writeEarlyHints({ link: ["</a.css>; rel=preload; as=style", "</b.js>; rel=preload; as=script"] }, () =>
    response.send("the page"),
  );
});

// Three parts, each after the one before was asked for.
const parts = [];
app.get("/parts", (request, response) => {
  parts.push(response);
  response.write("part 1\n");
});
app.get("/next", (request, response) => {
  parts[0].write("part 2\n");
  parts.shift().end("part 3\n");
  response.end();
});

// Dies within its answer.
app.get("/dies", (request, response) => {
  response.set("Content-Length", request.query.length ?? "");
  if (!request.query.length) response.removeHeader("Content-Length");
  response.write("half", () => request.socket.destroy());
});

// Refuses an upload without reading it.
app.post("/refuse", (request, response) => response.status(413).send("too large"));

const server = app.listen(0, "127.0.0.1", () => console.log(`port ${server.address().port}`));
