// Phoenix's own client where no WebSocket gets through: `node longpoll.mjs`.
// It takes the commands of phoenix_client.mjs; `way` says how to connect.
import { LongPoll, Socket } from "phoenix";
import WebSocket from "ws";
import { obey, say } from "./lines.mjs";

/** As behind a proxy that knows no WebSockets: nothing listens where it is told to go. */
class BlockedWebSocket extends WebSocket {
  constructor(_url, protocols) {
    super("ws://127.0.0.1:1/", protocols);
  }
}

console.log = console.error; // the client tells there what it could not read

const WAYS = {
  longpoll: { transport: LongPoll },
  fallback: { transport: BlockedWebSocket, longPollFallbackMs: 500 },
};

const memory = new Map();
const sessionStorage = {
  getItem: (key) => memory.get(key) ?? null,
  setItem: (key, value) => memory.set(key, value),
};

const sockets = new Map(); // client -> Socket
const channels = new Map(); // client/channel -> Channel

const verbs = {
  connect({ client, url, params, way, ...options }) {
    const socket = new Socket(url, {
      params,
      sessionStorage,
      reconnectAfterMs: () => 20,
      rejoinAfterMs: () => 20,
      ...WAYS[way],
      ...options,
    });
    sockets.set(client, socket);
    socket.onOpen(() => say({ client, happened: "open", transport: socket.conn.constructor.name }));
    socket.onClose(({ code, reason }) => say({ client, happened: "close", code, reason }));
    socket.onError(() => say({ client, happened: "error" }));
    socket.connect();
  },

  disconnect({ client }) {
    sockets.get(client).disconnect(() => say({ client, happened: "disconnected" }));
  },

  join({ client, channel: name, topic, params }) {
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
      .join()
      .receive("ok", (response) => tell("joined", { response }))
      .receive("error", (response) => tell("refused", { response }));
  },

  push({ client, channel: name, push, event, payload }) {
    const sent = channels.get(`${client}/${name}`).push(event, payload);
    for (const status of ["ok", "error", "timeout"]) {
      sent.receive(status, (response) => say({ client, channel: name, happened: "answer", push, status, response }));
    }
  },

  leave({ client, channel: name }) {
    channels
      .get(`${client}/${name}`)
      .leave()
      .receive("ok", (response) => say({ client, channel: name, happened: "left", response }));
  },
};

obey(({ do: verb, ...command }) => verbs[verb](command));
