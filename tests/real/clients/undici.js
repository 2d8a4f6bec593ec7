"use strict";
// node undici.js URL WHAT: one thing that undici does and curl does not; prints what was seen.

const assert = require("node:assert");
const { Agent, Pool, fetch } = require("undici");
const { lookup } = require("./names");

const [url, what] = process.argv.slice(2);
const dispatcher = new Agent({ connect: { lookup } });

const things = {
  // 200 requests over one connection, ten of them on their way at a time.
  async pipeline() {
    const pool = new Pool(url, { connections: 1, pipelining: 10, connect: { lookup } });
    const order = [];
    let most = 0;
    const ask = async (i) => {
      const { statusCode, body } = await pool.request({ path: `/bytes/${i}`, method: "GET" });
      const length = (await body.arrayBuffer()).byteLength;
      most = Math.max(most, pool.stats.running);
      order.push(statusCode === 200 ? length : statusCode);
    };
    await Promise.all(Array.from({ length: 200 }, (_, i) => ask(i)));
    await pool.close();
    return { order, most };
  },

  // A body that is made while it is sent.
  async upload() {
    let left = 50;
    const body = new ReadableStream({
      pull(controller) {
        if (left-- > 0) controller.enqueue(Buffer.alloc(100_000, "x"));
        else controller.close();
      },
    });
    const response = await fetch(`${url}/hash`, { method: "POST", body, duplex: "half", dispatcher });
    const { method, length, fields } = await response.json();
    return { method, length, coding: fields["transfer-encoding"] };
  },

  // The first part of an answer, and then no more of it; the server must learn of that.
  async abort() {
    const path = process.argv[4];
    const controller = new AbortController();
    const response = await fetch(`${url}/${path}?id=abort-${path}`, { signal: controller.signal, dispatcher });
    const reader = response.body.getReader();
    await reader.read();
    controller.abort();
    await assert.rejects(reader.read(), { name: "AbortError" });
    const { status } = await fetch(`${url}/gone?id=abort-${path}`, { dispatcher });
    return { status };
  },
};

things[what]().then(async (seen) => {
  await dispatcher.close();
  console.log(JSON.stringify(seen));
});
