/**
 * The messages of one room as a list: an element per message, made once and changed in place.
 * What came over the wire only ever becomes text here.
 */

const SAME_BREATH = 5 * 60_000; // ms; messages of one author this close stand together
const DELIVERY_TEXT = { sending: "Sending", queued: "Waiting for the connection" };

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
// The page speaks English: as the reader writes it ("25 November"), if the reader does.
const english = navigator.languages.find((language) => /^en\b/.test(language)) ?? "en";
const calendar = new Intl.DateTimeFormat(english, { weekday: "long", day: "numeric", month: "long" });

/** The text with its web addresses as links. */
function linked(text) {
  const parts = text.split(/(https?:\/\/[^\s<>"]*[^\s<>".,;:!?'()[\]{}])/);
  return parts.map((part, index) => {
    if (index % 2 === 0) return part;
    const link = document.createElement("a");
    Object.assign(link, { href: part, textContent: part, target: "_blank", rel: "noopener noreferrer" });
    return link;
  });
}

/** A colour for a name, the same in every browser. CSS picks lightness for the theme. */
function paint(element, name) {
  let hash = 7;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)) % 360;
  element.style.setProperty("--hue", hash);
}

/** A name's initial in its colour. */
export function drawAvatar(element, name) {
  element.textContent = [...name][0]?.toUpperCase() ?? "";
  paint(element, name);
}

export class Log {
  #items = new Map(); // key -> li
  #dividerKey = null; // as drawn

  constructor(room) {
    this.room = room;
    this.list = document.createElement("ol");
    this.list.className = "messages";
    this.element = document.createElement("div");
    this.element.className = "log-inner";
    this.element.setAttribute("role", "log");
    this.element.setAttribute("aria-label", `Messages in ${room.name}`);
    const empty = document.createElement("p");
    empty.className = "empty";
    empty.textContent =
      `Nothing said in #${room.name} yet. ` +
      "This demo keeps no history: you see what is said while you are here.";
    this.element.append(empty, this.list);
  }

  /** Bring the list up to date, from message number `from` on. */
  render(from) {
    const { messages, dividerKey } = this.room;
    const start = dividerKey === this.#dividerKey ? from : 0;
    this.#dividerKey = dividerKey;
    for (let index = start; index < messages.length; index++) {
      const message = messages[index];
      const item = this.#items.get(message.key) ?? this.#create(message);
      this.#update(item, message, messages[index - 1]);
      if (this.list.children[index] !== item) this.list.insertBefore(item, this.list.children[index] ?? null);
    }
    if (this.list.children.length > messages.length) this.#sweep();
    this.element.classList.toggle("has-messages", messages.length > 0);
  }

  divider() {
    return this.#items.get(this.room.dividerKey);
  }

  #create(message) {
    const item = document.getElementById("message-template").content.firstElementChild.cloneNode(true);
    this.#items.set(message.key, item);
    if (message.note) {
      item.className = "note";
      item.dataset.testid = "note";
      item.textContent = message.note;
      return item;
    }
    drawAvatar(item.querySelector(".avatar"), message.author);
    const author = item.querySelector(".author");
    author.textContent = message.author;
    paint(author, message.author);
    item.querySelector(".bubble").append(...linked(message.body));
    item.classList.toggle("own", Boolean(message.own));
    item.addEventListener("click", ({ target }) => {
      if (target.dataset.act === "retry") this.room.deliver(message);
      if (target.dataset.act === "discard") this.room.discard(message);
    });
    return item;
  }

  #update(item, message, previous) {
    const newDay = previous?.at.toDateString() !== message.at.toDateString();
    const first = message.key === this.room.dividerKey;
    if (newDay) item.dataset.day = calendar.format(message.at);
    else delete item.dataset.day;
    item.classList.toggle("first-unread", first);
    if (message.note) return;
    const together = previous && !previous.note && !newDay && !first && previous.author === message.author
      && Boolean(previous.own) === Boolean(message.own) && message.at - previous.at < SAME_BREATH;
    item.classList.toggle("continued", Boolean(together));
    item.dataset.status = message.status;
    const time = item.querySelector("time");
    time.dateTime = message.at.toISOString();
    time.textContent = clock.format(message.at);
    item.querySelector(".bubble").title = message.at.toLocaleString();
    item.querySelector(".delivery-text").textContent =
      message.status === "failed" ? `Not sent: ${message.reason}.` : (DELIVERY_TEXT[message.status] ?? "");
  }

  #sweep() {
    const kept = new Set(this.room.messages.map((message) => message.key));
    for (const [key, item] of this.#items) {
      if (kept.has(key)) continue;
      item.remove();
      this.#items.delete(key);
    }
  }
}
