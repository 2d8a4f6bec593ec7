"use strict";
// node agent.js URL COUNT: as many requests at once, over the 16 kept connections of an http.Agent.
// Prints how many came back as they should, and over how many connections.

const http = require("node:http");
const { lookup } = require("./names");

const [url, count] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
const ports = new Set();

const ask = (i) =>
  new Promise((resolve, reject) => {
    const body = i % 3 ? Buffer.alloc(i * 10, "x") : null;
    const method = ["GET", "POST", "PUT"][i % 3];
    const request = http.request(`${url}/hash?${i}`, { agent, lookup, method }, async (response) => {
      ports.add(request.socket.localPort);
      let text = "";
      for await (const data of response) text += data;
      const came = JSON.parse(text);
      resolve(response.statusCode === 200 && came.method === method && came.length === (body?.length ?? 0));
    });
    request.on("error", reject);
    request.end(body);
  });

Promise.all(Array.from({ length: Number(count) }, (_, i) => ask(i))).then((results) => {
  agent.destroy();
  console.log(JSON.stringify({ right: results.filter(Boolean).length, connections: ports.size }));
});
