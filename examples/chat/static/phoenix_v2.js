/**
 * A small Phoenix Channels client (wire format V2, JSON text frames): one WebSocket, many channels.
 *
 * `Socket` owns the connection, the refs and the replies that are awaited; `Channel` owns the
 * membership of one topic. What they promise:
 * - A request always settles, with `{status, response}`: the server's "ok" or "error", or "timeout",
 *   or "disconnected" when the connection ended first. It never rejects. When the channel ended
 *   first the status is "error": to send it again by itself could crash the channel again.
 * - A lost connection comes back by itself, and every channel that was not left joins again.
 * - A frame of an earlier membership (an old join_ref) never reaches the handlers.
 * Names from the wire are only ever keys of a `Map`, so "__proto__" is a name like any other.
 */

const HEARTBEAT_EVERY = 30_000; // ms; the server hangs up after 60 s without a frame from us
const REPLY_WITHIN = 10_000; // ms
const CONNECT_WITHIN = 10_000; // ms

/** Milliseconds to wait before try number `tries` (from 0). Half of it is chance, so that the
 *  clients of a restarted server do not all come back in the same instant. */
export function backoff(tries, first = 500, longest = 5000) {
  const whole = Math.min(longest, first * 2 ** tries);
  return whole / 2 + (Math.random() * whole) / 2;
}

/** The frame as an object, or null for anything that is not a V2 text frame. */
export function decode(data) {
  try {
    const frame = JSON.parse(data);
    if (!Array.isArray(frame) || frame.length < 5) return null;
    const [joinRef, ref, topic, event, payload] = frame;
    return { joinRef, ref, topic, event, payload: payload ?? {} };
  } catch {
    return null;
  }
}

/**
 * One connection to a Phoenix socket.
 *
 * `state` is "closed" (on purpose), "connecting", "open" or "waiting" (for the next try, at
 * `retryAt`, ms since the epoch). `onState(socket)` is called after each change.
 */
export class Socket {
  state = "closed";
  retryAt = 0;
  #endpoint;
  #params;
  #onState;
  #ws = null;
  #tries = 0;
  #timer = 0; // the one thing waited for: connect deadline, next heartbeat or next try
  #lastRef = 0;
  #awaited = new Map(); // ref -> {joinRef, settle(status, response)}
  #channels = new Map(); // topic -> Channel

  /** `endpoint`: path or URL of the WebSocket; `params()`: the connect params of each new try. */
  constructor(endpoint, { params = () => ({}), onState = () => {} } = {}) {
    this.#endpoint = endpoint;
    this.#params = params;
    this.#onState = onState;
  }

  /** Connect now; while waiting for the next try, do not wait any longer. */
  connect() {
    if (this.#ws) return;
    const ws = new WebSocket(this.#url());
    this.#ws = ws;
    ws.onopen = () => this.#opened();
    ws.onmessage = ({ data }) => this.#received(data);
    ws.onclose = () => this.#lost();
    this.#after(CONNECT_WITHIN, () => this.#lost());
    this.#become("connecting");
  }

  /** Close on purpose: nothing is retried until `connect()`. Channels remember that they joined. */
  disconnect() {
    this.#dropConnection();
    this.#become("closed");
  }

  /** A sign that the network or the machine came back: try at once, or ask whether we still live. */
  wake() {
    if (this.state === "waiting") this.connect();
    else if (this.state === "open") this.#heartbeat();
  }

  /** A channel for `topic`; `params()` is the payload of each join. */
  channel(topic, params = () => ({})) {
    return new Channel(this, topic, params);
  }

  /** Send one frame and wait for its reply. */
  request(joinRef, topic, event, payload, ref = this.nextRef()) {
    return new Promise((resolve) => {
      if (this.state !== "open") return resolve({ status: "disconnected", response: {} });
      const settle = (status, response) => {
        clearTimeout(timer);
        this.#awaited.delete(ref);
        resolve({ status, response: response ?? {} });
      };
      const timer = setTimeout(() => settle("timeout"), REPLY_WITHIN);
      this.#awaited.set(ref, { joinRef, settle });
      this.#ws.send(JSON.stringify([joinRef, ref, topic, event, payload]));
    });
  }

  /** Refs are never used twice, not even on a new connection: a late reply finds nobody. */
  nextRef() {
    return String(++this.#lastRef);
  }

  /** For Channel: from now on the frames of its topic are its own. */
  attach(channel) {
    this.#channels.set(channel.topic, channel);
  }

  /** For Channel: forget it, unless its topic has a new owner already. */
  detach(channel) {
    if (this.#channels.get(channel.topic) === channel) this.#channels.delete(channel.topic);
  }

  /** For Channel: the membership `ended`; nobody will answer what was sent in it. */
  abandon(ended, reason) {
    for (const { joinRef, settle } of [...this.#awaited.values()]) {
      if (joinRef === ended) settle("error", { reason });
    }
  }

  #url() {
    const url = new URL(this.#endpoint, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.search = new URLSearchParams({ ...this.#params(), vsn: "2.0.0" });
    return url;
  }

  #opened() {
    this.#after(HEARTBEAT_EVERY, () => this.#heartbeat());
    this.#become("open");
    for (const channel of [...this.#channels.values()]) channel.connected();
  }

  /** The next beat is set after the reply came, in its task: browsers slow down timers that
   *  start one another in a hidden page to one a minute, too slow for the server's idle time-out. */
  async #heartbeat() {
    clearTimeout(this.#timer);
    const ws = this.#ws;
    const { status } = await this.request(null, "phoenix", "heartbeat", {});
    if (ws !== this.#ws) return;
    if (status === "timeout") this.#lost();
    else this.#after(HEARTBEAT_EVERY, () => this.#heartbeat());
  }

  #received(data) {
    const frame = decode(data);
    if (!frame) return;
    // Only a server that talks is back: one that accepts and hangs up keeps the growing waits.
    this.#tries = 0;
    if (frame.event === "phx_reply") {
      this.#awaited.get(frame.ref)?.settle(frame.payload.status, frame.payload.response);
    } else {
      this.#channels.get(frame.topic)?.received(frame);
    }
  }

  /** Does not wait for the closing handshake: over a dead network it would take minutes. */
  #lost() {
    this.#dropConnection();
    const wait = backoff(this.#tries++);
    this.retryAt = Date.now() + wait;
    this.#after(wait, () => this.connect());
    this.#become("waiting");
  }

  #dropConnection() {
    clearTimeout(this.#timer);
    const ws = this.#ws;
    this.#ws = null;
    if (!ws) return;
    ws.onopen = ws.onmessage = ws.onclose = null;
    ws.close();
    for (const channel of this.#channels.values()) channel.disconnected();
    for (const { settle } of [...this.#awaited.values()]) settle("disconnected");
  }

  #after(milliseconds, act) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(act, milliseconds);
  }

  #become(state) {
    this.state = state;
    this.#onState(this);
  }
}

/**
 * Our membership of one topic.
 *
 * `state` is "closed", "joining", "joined" or "errored" (it joins again after a while).
 * `onState(channel)` is called after each change; `reason` says why the last join did not work out.
 */
export class Channel {
  state = "closed";
  reason = "";
  onState = () => {};
  #socket;
  #params;
  #joinRef = null;
  #tries = 0;
  #timer = 0; // the next join
  #handlers = new Map(); // event -> handler(payload)

  constructor(socket, topic, params) {
    this.#socket = socket;
    this.#params = params;
    this.topic = topic;
  }

  /** Be a member from now on, over every reconnect, until `leave()` or the server closes it. */
  join() {
    this.#socket.attach(this);
    if (this.#socket.state === "open") this.#sendJoin();
    else this.#become("joining");
  }

  /** Send an event. Unless we are joined it is not sent, and settles as "disconnected". */
  push(event, payload) {
    if (this.state !== "joined") return Promise.resolve({ status: "disconnected", response: {} });
    return this.#socket.request(this.#joinRef, this.topic, event, payload);
  }

  leave() {
    if (this.state === "closed") return;
    this.#socket.request(this.#joinRef, this.topic, "phx_leave", {});
    this.#closed();
  }

  /** Call `handler(payload)` for each `event` that the server pushes or broadcasts. */
  on(event, handler) {
    this.#handlers.set(event, handler);
  }

  /** For Socket: the connection is open. */
  connected() {
    this.#sendJoin();
  }

  /** For Socket: the connection is gone, and our membership with it. */
  disconnected() {
    clearTimeout(this.#timer);
    this.#joinRef = null;
    this.#become("joining");
  }

  /** For Socket: a frame for our topic. Broadcasts carry no join_ref; pushes, closes and errors
   *  carry the one of the membership they belong to. */
  received({ joinRef, event, payload }) {
    if (joinRef !== null && joinRef !== this.#joinRef) return;
    if (event === "phx_close") this.#closed();
    else if (event === "phx_error") this.#failed(payload.reason);
    else if (this.state === "joined") this.#handlers.get(event)?.(payload);
  }

  async #sendJoin() {
    clearTimeout(this.#timer);
    const ref = this.#socket.nextRef();
    this.#joinRef = ref;
    this.#become("joining");
    const reply = await this.#socket.request(ref, this.topic, "phx_join", this.#params(), ref);
    if (this.#joinRef !== ref || this.state !== "joining") return;
    if (reply.status === "ok") {
      this.#tries = 0;
      this.#become("joined");
    } else {
      this.#failed(reply.status === "timeout" ? "no answer" : reply.response.reason);
    }
  }

  #failed(reason) {
    this.reason = typeof reason === "string" ? reason : "";
    this.#end(this.reason || "the channel crashed");
    this.#timer = setTimeout(() => this.#sendJoin(), backoff(this.#tries++, 1000, 10_000));
    this.#become("errored");
  }

  #closed() {
    clearTimeout(this.#timer);
    this.#socket.detach(this);
    this.#end("the channel closed");
    this.#become("closed");
  }

  #end(reason) {
    const ended = this.#joinRef;
    this.#joinRef = null;
    if (ended !== null) this.#socket.abandon(ended, reason);
  }

  #become(state) {
    this.state = state;
    this.onState(this);
  }
}
