"use strict";
// What a page does with a server: each function gives back what it saw.  mirror.py says what the server does.

const say = (id, data) => fetch(`/say?id=${id}&data=${data}`, { method: "POST" });

// All messages of an EventSource, in the order in which they are asked for.
function messages(id) {
  const source = new EventSource(`/events?id=${id}`);
  const came = [];
  const waiting = [];
  source.onmessage = ({ data }) => (waiting.length ? waiting.shift()(data) : came.push(data));
  const next = () => (came.length ? Promise.resolve(came.shift()) : new Promise((resolve) => waiting.push(resolve)));
  return { source, next };
}

// Each event is said only after the one before came; then the server ends the stream, and the browser comes again.
async function events(id) {
  const { source, next } = messages(id);
  const seen = [await next()];
  for (const word of ["one", "two"]) {
    await say(id, word);
    seen.push(await next());
  }
  await say(id, "end");
  seen.push(await next());
  await say(id, "three");
  seen.push(await next());
  await say(id, "end");
  source.close();
  return seen;
}

// The same by fetch: the parts of a body while it is sent.
async function parts(id) {
  const reader = (await fetch(`/events?id=${id}`)).body.pipeThrough(new TextDecoderStream()).getReader();
  const seen = [];
  for (const word of ["one", "two", "end"]) {
    seen.push((await reader.read()).value);
    await say(id, word);
  }
  seen.push((await reader.read()).done);
  return seen;
}

async function download(path) {
  return (await (await fetch(path)).arrayBuffer()).byteLength;
}

async function upload(size) {
  const { method, length } = await (await fetch("/hash", { method: "POST", body: new Uint8Array(size) })).json();
  return { method, length };
}

async function together(count) {
  const lengths = await Promise.all(Array.from({ length: count }, (_, i) => download(`/stream/${i * 1000}`)));
  return lengths.every((length, i) => length === i * 1000);
}

async function socket(id) {
  const opened = new WebSocket(`${location.origin.replace("http", "ws")}/ws?id=${id}`, ["first", "last"]);
  const next = (event) => new Promise((resolve) => opened.addEventListener(event, resolve, { once: true }));
  opened.binaryType = "arraybuffer";
  await next("open");
  const sizes = [];
  for (const size of [0, 125, 126, 65536, 4 << 20]) {
    const came = next("message");
    opened.send(new Uint8Array(size));
    sizes.push((await came).data.byteLength);
  }
  const closing = next("close");
  opened.send("close 4002 as asked");
  const { code, reason } = await closing;
  const extension = opened.extensions.split(";")[0];
  return { sizes, protocol: opened.protocol, extension, code, reason };
}

async function abort(path, id) {
  const controller = new AbortController();
  const answer = await fetch(`${path}?id=${id}`, { signal: controller.signal });
  await answer.body.getReader().read();
  controller.abort();
  return (await fetch(`/gone?id=${id}`)).status;
}
