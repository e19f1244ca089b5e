// SPDX-License-Identifier: MIT
// What people use instead of omni: Node's fetch, with JSON parsing. Usage: fetch.mjs URL COUNT IN_FLIGHT; prints queries per second.
const [url, count, inFlight] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const headers = { "x-api-key": "ak_" + "0".repeat(32) };
let left = count;

async function ask() {
  while (left-- > 0) {
    const answer = await (await fetch(url, { headers })).json();
    if (answer.data.status !== "running") throw new Error("unexpected answer");
  }
}

const begin = performance.now();
await Promise.all(Array.from({ length: inFlight }, ask));
console.log(Math.round(count / ((performance.now() - begin) / 1000)));
