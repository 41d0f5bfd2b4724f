// Node `ws`: a loop of send() for B, one send() for E; no compression.
import { createRequire } from "node:module";
const require = createRequire(process.cwd() + "/");
const { WebSocketServer } = require("ws");

const server = new WebSocketServer({
  host: "127.0.0.1", port: 0, perMessageDeflate: false, backlog: 1024,
});
server.on("listening", () => {
  const versions = { ws: require("ws/package.json").version, Node: process.versions.node };
  console.log(JSON.stringify({ port: server.address().port, versions }));
});
server.on("connection", (client) => {
  client.on("error", () => {});
  client.on("message", (data) => {
    const text = data.toString();
    if (text.startsWith("B")) {
      for (const member of server.clients) member.send(text);
    } else {
      client.send(text);
    }
  });
});
