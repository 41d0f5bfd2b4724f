// Clients that write all the time while somebody troubles their connections:
// `node storm_client.mjs <topic> <name>=<url> ...`; `flood`, `settle` and `report` are the commands.
//
// Each keeps a record: ["joined"], ["lost"] when the channel noticed a lost connection, ["sent", n] and ["kept", n]
// for what was pushed at once or after the next join, ["ok", n] for its answer, ["heard", by, n] for broadcasts.
import { Socket } from "phoenix";
import WebSocket from "ws";
import { obey, say } from "./lines.mjs";

const [topic, ...addresses] = process.argv.slice(2);

class Writer {
  record = [];
  joins = 0;
  written = 0;

  constructor(name, url) {
    this.name = name;
    this.socket = new Socket(url, {
      transport: WebSocket,
      params: { name },
      timeout: 60_000, // what is kept during an outage is sent after it
      heartbeatIntervalMs: 250,
      reconnectAfterMs: () => 5,
      rejoinAfterMs: () => 5,
    });
    this.channel = this.socket.channel(topic);
    this.channel.on("new_msg", ({ by, n }) => this.hear(by, n));
    this.channel.onError(() => this.record.push(["lost"]));
    this.channel.join().receive("ok", () => {
      this.record.push(["joined"]);
      say({ client: name, joined: ++this.joins });
      settle();
    });
    this.socket.connect();
  }

  hear(by, n) {
    this.record.push(["heard", by, n]);
    if (!lastWords?.has(by) || n < lastWords.get(by)) return;
    this.unheard.delete(by);
    if (this.unheard.size === 0) say({ client: this.name, happened: "settled" });
  }

  write() {
    const n = ++this.written;
    this.record.push([this.channel.canPush() ? "sent" : "kept", n]);
    this.channel.push("new_msg", { by: this.name, n }).receive("ok", () => this.record.push(["ok", n]));
  }
}

const writers = addresses.map((address) => {
  const [name, url] = address.split(/=(.*)/);
  return new Writer(name, url);
});

let flood = 0;
let lastWords = null; // writer -> the number that everybody has to hear, once it is over

/** Everybody writes once more; again when somebody had to come back and may have missed it. */
function settle() {
  if (lastWords) for (const writer of writers) writer.write();
}

const verbs = {
  flood({ everyMs, names }) {
    flood = setInterval(() => writers.filter(({ name }) => names.includes(name)).forEach((one) => one.write()), everyMs);
  },

  settle() {
    clearInterval(flood);
    lastWords = new Map(writers.map(({ name, written }) => [name, written + 1]));
    for (const writer of writers) writer.unheard = new Set(lastWords.keys());
    settle();
  },

  report() {
    say({ happened: "reported", records: Object.fromEntries(writers.map(({ name, record }) => [name, record])) });
  },
};

obey(({ do: verb, ...command }) => verbs[verb](command));
