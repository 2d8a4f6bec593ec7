"use strict";
// node hasty.js MS: Node's http server, which closes a connection that was idle for so many milliseconds, and says in
// its answers how many connections there have been.  /?after=MS answers after so many.

const http = require("node:http");

const idle = Number(process.argv[2]);
let connections = 0;

const server = http.createServer((request, response) => {
  // As keepAliveTimeout does it, without the second more that newer versions add against the race that is wanted here.
  response.on("finish", () => request.socket.setTimeout(idle));
  const after = Number(new URL(request.url, "http://x").searchParams.get("after"));
  request.resume().on("end", () => setTimeout(() => response.end(String(connections)), after));
});
server.on("connection", () => connections++);
server.listen(0, "127.0.0.1", () => console.log(`port ${server.address().port}`));
