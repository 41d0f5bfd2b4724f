/**
 * One room of the demo chat, without a page: its messages, its unread count, who is typing, and the
 * own messages that are still under way. It owns the channel `room:<name>`.
 */

const MESSAGES_KEPT = 500;
const LONGEST_BODY = 8000; // characters shown of a message
const TYPING_SENT_EVERY = 2000; // ms
const TYPING_SHOWN_FOR = 4000; // ms
const GAP_WORTH_A_NOTE = 1000; // ms

export const isText = (value) => typeof value === "string" && value.trim() !== "";
const clip = (text, length) => [...text].slice(0, length).join("");

/** Control characters, and the invisible ones that turn the direction of the text around them. */
const UNSEEN = /[\p{Cc}\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/** A person's name as we show it: one line, no invisible characters. */
export const personName = (text) => clip(text.replace(UNSEEN, "").trim(), 32);

/** A room's name as it stands in topics and addresses: "# The Lobby" is "the-lobby". */
export const roomName = (text) =>
  clip(text.normalize().replace(UNSEEN, "").replace(/^[#\s]+/, "").trim(), 40)
    .replace(/\s+/g, "-")
    .toLowerCase();

/** A random name for a message. (`crypto.randomUUID` is missing on plain-http pages.) */
const nonce = () =>
  [...crypto.getRandomValues(new Uint8Array(12))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");

/**
 * `messages` holds what was said, in the server's order, then the own messages that the
 * server has not confirmed. A message's `key` is the nonce its sender gave it: it tells whether a
 * broadcast is the echo of an own message, and a message that was sent again after a lost
 * connection is not shown twice.
 *
 * `page` is asked `isWatching(room)`, and hears `logChanged(room, from)`, `arrived(room)`,
 * `typingChanged(room)` and `stateChanged(room)`.
 */
export class Room {
  messages = []; // {key, note, author, body, at, own, settled, status, reason}
  unread = 0;
  dividerKey = null; // the first message that was unread when the room was opened
  draft = "";
  typists = new Map(); // name -> timer that forgets it
  #byKey = new Map();
  #wasIn = false;
  #goneSince = 0; // ms since the epoch; 0 while we are in
  #typingSentAt = 0;

  constructor(name, socket, me, page) {
    this.name = name;
    this.page = page;
    this.me = me; // () => our name
    this.channel = socket.channel(`room:${name}`, () => ({ name: me() }));
    this.channel.onState = () => this.#channelChanged();
    this.channel.on("new_msg", (payload) => this.#heard(payload));
    this.channel.on("typing", (payload) => this.#sawTyping(payload));
  }

  say(body) {
    const message = { key: nonce(), author: this.me(), body, at: new Date(), own: true };
    this.dividerKey = null;
    this.#typingSentAt = 0;
    this.#insert(message, this.messages.length);
    this.deliver(message);
  }

  /** Tell the others, but not with every key. */
  typing() {
    const now = Date.now();
    if (now - this.#typingSentAt < TYPING_SENT_EVERY || this.channel.state !== "joined") return;
    this.#typingSentAt = now;
    this.channel.push("typing", { name: this.me() });
  }

  /** Send an own message; when we are not in the room, keep it until we are. */
  async deliver(message) {
    this.#mark(message, this.channel.state === "joined" ? "sending" : "queued");
    if (message.status === "queued") return;
    const { key, body } = message;
    const { status, response } = await this.channel.push("new_msg", { body, nonce: key });
    if (message.settled) return;
    if (status === "ok") this.#settle(message, message.at);
    else if (status === "disconnected") this.#mark(message, "queued");
    else if (status === "timeout") this.#mark(message, "failed", "no answer");
    else this.#mark(message, "failed", String(response.reason ?? "refused"));
    // It may be joined again already when the news of the lost connection gets here.
    if (message.status === "queued" && this.channel.state === "joined") this.deliver(message);
  }

  discard(message) {
    this.messages.splice(this.messages.indexOf(message), 1);
    this.#byKey.delete(message.key);
    this.page.logChanged(this, 0);
  }

  /** Say something to the reader himself. */
  note(text) {
    this.#insert({ key: nonce(), note: text, at: new Date() }, this.#firstUnsettled());
  }

  #heard(payload) {
    const { body, user, name, at, id } = payload;
    if (!isText(body)) return;
    const key = String(payload.nonce ?? id ?? nonce());
    const time = new Date(at);
    const when = Number.isNaN(time.getTime()) ? new Date() : time;
    const known = this.#byKey.get(key);
    if (known) {
      if (known.own) this.#settle(known, when);
      return;
    }
    const author = personName([user, name].find(isText) ?? "") || "somebody";
    this.#forgetTypist(author);
    this.#countUnread(key);
    const message = { key, author, body: clip(body, LONGEST_BODY), at: when, status: "sent" };
    this.#insert(message, this.#firstUnsettled());
    this.page.arrived(this);
  }

  #countUnread(key) {
    if (this.page.isWatching(this)) return;
    if (this.unread === 0) this.dividerKey = key;
    this.unread += 1;
  }

  #sawTyping(payload) {
    const author = personName([payload.user, payload.name].find(isText) ?? "");
    if (!author) return;
    clearTimeout(this.typists.get(author));
    this.typists.set(author, setTimeout(() => this.#forgetTypist(author), TYPING_SHOWN_FOR));
    this.page.typingChanged(this);
  }

  #forgetTypist(author) {
    clearTimeout(this.typists.get(author));
    if (this.typists.delete(author)) this.page.typingChanged(this);
  }

  #channelChanged() {
    if (this.channel.state === "joined") this.#entered();
    else this.#goneSince ||= this.#wasIn ? Date.now() : 0;
    this.page.stateChanged(this);
  }

  #entered() {
    if (this.#goneSince && Date.now() - this.#goneSince >= GAP_WORTH_A_NOTE) {
      this.note("You were disconnected. What others wrote in between is not shown here.");
    }
    this.#wasIn = true;
    this.#goneSince = 0;
    for (const message of this.messages) if (message.status === "queued") this.deliver(message);
  }

  #settle(message, at) {
    if (!this.#byKey.has(message.key)) return; // it made room for newer ones
    const from = this.messages.indexOf(message);
    Object.assign(message, { at, settled: true });
    const to = this.messages.findIndex((other) => other.own && !other.settled);
    if (to >= 0 && to < from) this.messages.splice(to, 0, ...this.messages.splice(from, 1));
    this.#mark(message, "sent", "", to >= 0 && to < from ? to : from);
  }

  #mark(message, status, reason = "", from = this.messages.indexOf(message)) {
    Object.assign(message, { status, reason });
    if (from >= 0) this.page.logChanged(this, from);
  }

  #insert(message, index) {
    this.messages.splice(index, 0, message);
    this.#byKey.set(message.key, message);
    const excess = this.messages.length - MESSAGES_KEPT;
    for (const old of this.messages.splice(0, Math.max(0, excess))) this.#byKey.delete(old.key);
    this.page.logChanged(this, excess > 0 ? 0 : index);
  }

  #firstUnsettled() {
    const index = this.messages.findIndex((message) => message.own && !message.settled);
    return index < 0 ? this.messages.length : index;
  }
}
