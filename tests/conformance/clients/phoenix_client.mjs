// Phoenix's own client under remote control: `node phoenix_client.mjs <package>`.
// A command names a verb of the client; what the client's callbacks are told is printed.
import { createRequire } from "node:module";
import WebSocket from "ws";
import { obey, say } from "./lines.mjs";

const { Socket } = createRequire(import.meta.url)(process.argv[2]);

const sockets = new Map(); // client -> Socket
const channels = new Map(); // client/channel -> Channel
const refreshes = new Set(); // client/ref

const verbs = {
  connect({ client, url, params, reconnectMs = 20, rejoinMs = 20, ...options }) {
    const socket = new Socket(url, {
      transport: WebSocket,
      params,
      reconnectAfterMs: () => reconnectMs,
      rejoinAfterMs: () => rejoinMs,
      ...options,
    });
    sockets.set(client, socket);
    socket.onOpen(() => say({ client, happened: "open" }));
    socket.onClose(({ code, reason }) => say({ client, happened: "close", code, reason }));
    socket.onError(() => say({ client, happened: "error" }));
    socket.onMessage(({ topic, payload, ref }) => {
      if (topic !== "phoenix") return;
      const refreshed = refreshes.delete(`${client}/${ref}`);
      say(refreshed ? { client, happened: "refreshed", ...payload } : { client, happened: "heartbeat answered" });
    });
    socket.connect();
  },

  /** Give the server a new token on the connection that stands. The client has no verb for it. */
  refresh({ client, payload }) {
    const socket = sockets.get(client);
    const ref = socket.makeRef();
    refreshes.add(`${client}/${ref}`);
    socket.push({ topic: "phoenix", event: "auth_token", payload, ref, join_ref: null });
  },

  disconnect({ client }) {
    sockets.get(client).disconnect(() => say({ client, happened: "disconnected" }));
  },

  join({ client, channel: name, topic, params, timeout }) {
    const channel = sockets.get(client).channel(topic, params);
    const tell = (happened, more) => say({ client, channel: name, happened, ...more });
    channels.set(`${client}/${name}`, channel);
    channel.onMessage = (event, payload) => {
      if (!event.startsWith("phx_") && !event.startsWith("chan_reply_")) tell("event", { event, payload });
      return payload;
    };
    channel.onClose((payload) => tell("closed", { payload }));
    channel.onError((reason) => tell("errored", { reason }));
    channel
      .join(timeout)
      .receive("ok", (response) => tell("joined", { response }))
      .receive("error", (response) => tell("refused", { response }))
      .receive("timeout", () => tell("unanswered"));
  },

  push({ client, channel: name, push, event, payload, timeout }) {
    const sent = channels.get(`${client}/${name}`).push(event, payload, timeout);
    for (const status of ["ok", "error", "timeout"]) {
      sent.receive(status, (response) => say({ client, channel: name, happened: "answer", push, status, response }));
    }
  },

  /** Answer pushes of the server that ask for it, as a client that knows of `phx_ack` does. */
  acknowledge({ client, channel: name, event }) {
    const channel = channels.get(`${client}/${name}`);
    channel.on(event, (payload, ref) => channel.push("phx_ack", { ref, response: payload }));
  },

  leave({ client, channel: name }) {
    channels
      .get(`${client}/${name}`)
      .leave()
      .receive("ok", (response) => say({ client, channel: name, happened: "left", response }));
  },
};

obey(({ do: verb, ...command }) => verbs[verb](command));
