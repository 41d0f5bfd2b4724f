// Node socket.io: one room, an event that goes to all of it, an acknowledgement.
import { createRequire } from "node:module";
const require = createRequire(process.cwd() + "/");
const { createServer } = require("node:http");
const { Server } = require("socket.io");

const http = createServer();
const io = new Server(http, {
  transports: ["websocket"], perMessageDeflate: false, pingInterval: 600000, pingTimeout: 600000,
});
io.on("connection", (socket) => {
  socket.join("bench");
  socket.on("new_msg", (payload) => io.to("bench").emit("new_msg", payload));
  socket.on("ping", (payload, acknowledge) => acknowledge(payload));
});
http.listen({ host: "127.0.0.1", port: 0, backlog: 1024 }, () => {
  const versions = {
    "socket.io": require("socket.io/package.json").version, Node: process.versions.node,
  };
  console.log(JSON.stringify({ port: http.address().port, versions }));
});
