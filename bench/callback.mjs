// SPDX-License-Identifier: MIT
// What people use instead of omni: Node's http server, which parses the callback's JSON and responds with 200. Prints the server's port.
import { createServer } from "node:http";

const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    let task;
    try {
      task = JSON.parse(Buffer.concat(parts));
    } catch {
      // answered below
    }
    response.writeHead(typeof task?.task_id === "string" ? 200 : 400, { "Content-Type": "text/plain" });
    response.end("taken over\n");
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
