// trust.mjs https|fetch URL...: ask each, in Node, Deno or Bun; prints a JSON list of "ok" and errors.
// Which roots there are beside the program's own is in its environment: NODE_EXTRA_CA_CERTS, DENO_CERT.

import https from "node:https";
import process from "node:process";

const [how, ...urls] = process.argv.slice(2);

const ways = {
  fetch: async (url) => (await fetch(url)).text(),
  https: (url) =>
    new Promise((resolve, reject) => {
      const request = https.get(url, { agent: false }, (answer) => {
        let text = "";
        answer.on("data", (data) => (text += data));
        answer.on("end", () => resolve(text));
      });
      request.on("error", reject);
    }),
};

const attempt = async (url) => {
  try {
    const text = await ways[how](url);
    return text === "hello" ? "ok" : `another answer: ${text}`;
  } catch (error) {
    return [error, error.cause].map((each) => `${each?.code ?? ""} ${each?.message ?? ""}`).join(" ");
  }
};

const said = [];
for (const url of urls) said.push(await attempt(url));
console.log(JSON.stringify(said));
