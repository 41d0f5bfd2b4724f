/**
 * The page of the demo chat: rooms over Phoenix Channels.
 *
 * `Chat` owns the rooms, the connection and every element but the messages, which are `Log`'s.
 */

import { drawAvatar, Log } from "./log.js";
import { Socket } from "./phoenix_v2.js";
import { isText, personName, Room, roomName } from "./room.js";

const FIRST_ROOMS = ["lobby", "backstage", "random"];
const FLASH_FOR = 5000; // ms

const $ = (id) => document.getElementById(id);

/** What the browser remembers. A tab keeps its own name, so that two tabs can be two people. */
const memory = {
  get(key) {
    try {
      return sessionStorage.getItem(`chat:${key}`) ?? localStorage.getItem(`chat:${key}`);
    } catch {
      return null; // storage is switched off: the page works, it just forgets
    }
  },
  set(key, value) {
    try {
      sessionStorage.setItem(`chat:${key}`, value);
      localStorage.setItem(`chat:${key}`, value);
    } catch {
      // as above
    }
  },
};

function drawBadge(badge, count) {
  badge.hidden = count === 0;
  badge.textContent = count > 99 ? "99+" : String(count);
}

class Chat {
  name = "";
  room = null; // the one that is open
  #rooms = new Map(); // name -> Room
  #logs = new Map(); // Room -> Log
  #links = new Map(); // Room -> li in the sidebar
  #pinned = true; // the reader is at the end of the log
  #outage = false; // from the first lost connection until we are back
  #flashed = "";
  #flashTimer = 0;
  #countdownTimer = 0;
  #narrow = matchMedia("(max-width: 760px)");
  #socket = new Socket("/socket/websocket", {
    params: () => ({ name: this.name }),
    onState: () => this.#connectionChanged(),
  });

  start() {
    this.#listen();
    this.name = personName(memory.get("name") ?? "");
    for (const name of this.#remembered()) this.#enter(name);
    this.#route();
    if (this.name) this.#introduce();
    else this.#askName();
  }

  // --- what a Room tells ---

  logChanged(room, from) {
    this.#logs.get(room)?.render(from); // a room we left may still hear of its last messages
    if (room === this.room && this.#pinned) this.#scrollToEnd();
  }

  isWatching(room) {
    return room === this.room && !document.hidden && this.#pinned;
  }

  arrived(room) {
    if (room === this.room) $("jump").hidden = this.#pinned;
    this.#drawRooms();
  }

  typingChanged(room) {
    if (room !== this.room) return;
    const names = [...room.typists.keys()];
    $("typing").hidden = names.length === 0 || $("notice").textContent !== "";
    if (names.length === 1) $("typing-text").textContent = `${names[0]} is typing`;
    else if (names.length === 2) $("typing-text").textContent = `${names.join(" and ")} are typing`;
    else if (names.length > 2) $("typing-text").textContent = "Several people are typing";
  }

  stateChanged(room) {
    if (room === this.room) this.#drawNotice();
  }

  // --- rooms ---

  #remembered() {
    try {
      const names = JSON.parse(memory.get("rooms")).filter(isText).map(roomName).filter(Boolean);
      return names.length ? names : FIRST_ROOMS;
    } catch {
      return FIRST_ROOMS;
    }
  }

  #enter(name) {
    if (!this.#rooms.has(name)) {
      const room = new Room(name, this.#socket, () => this.name, this);
      this.#rooms.set(name, room);
      this.#logs.set(room, new Log(room));
      this.#links.set(room, this.#addLink(name));
      memory.set("rooms", JSON.stringify([...this.#rooms.keys()]));
      room.channel.join();
    }
    return this.#rooms.get(name);
  }

  #leave(room) {
    const names = [...this.#rooms.keys()];
    const next = names[names.indexOf(room.name) + 1] ?? names.at(-2);
    this.#goTo(next);
    this.#route(); // now: `hashchange` comes later, and the room must not be seen closing
    room.channel.leave();
    this.#links.get(room).remove();
    for (const table of [this.#links, this.#logs]) table.delete(room);
    this.#rooms.delete(room.name);
    memory.set("rooms", JSON.stringify([...this.#rooms.keys()]));
    this.#drawRooms();
  }

  /** The address decides which room is open, so "back" and links to rooms work. */
  #goTo(name) {
    location.hash = encodeURIComponent(name);
  }

  #route() {
    let wanted = "";
    try {
      wanted = roomName(decodeURIComponent(location.hash.slice(1)));
    } catch {
      // not an encoded name: as if there were none
    }
    this.#open(this.#enter(wanted || [...this.#rooms.keys()][0]));
  }

  #open(room) {
    if (this.room === room) return;
    if (this.room) {
      this.room.draft = $("message-input").value;
      this.room.dividerKey = null;
    }
    this.room = room;
    history.replaceState(null, "", `#${encodeURIComponent(room.name)}`);
    const log = this.#logs.get(room);
    log.render(0);
    $("message-log").replaceChildren(log.element);
    $("message-log").setAttribute("aria-label", `Messages in ${room.name}`);
    $("room-title").textContent = room.name;
    $("message-label").textContent = `Message to ${room.name}`;
    $("message-input").placeholder = `Message #${room.name}`;
    $("message-input").value = room.draft;
    this.#fitInput();
    this.#scrollToEnd();
    this.#showDivider(log.divider());
    this.#read(room);
    this.#drawNotice();
    this.typingChanged(room);
  }

  #read(room) {
    if (document.hidden) return;
    room.unread = 0;
    this.#drawRooms();
  }

  #addLink(name) {
    const item = $("room-template").content.firstElementChild.cloneNode(true);
    const link = item.querySelector("a");
    link.href = `#${encodeURIComponent(name)}`;
    link.dataset.room = name;
    item.querySelector(".room-name").textContent = name;
    $("room-list").append(item);
    return item;
  }

  #drawRooms() {
    let total = 0;
    for (const [room, item] of this.#links) {
      const link = item.querySelector("a");
      if (room === this.room) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
      link.setAttribute("aria-label", room.unread ? `${room.name}, ${room.unread} unread` : room.name);
      drawBadge(item.querySelector(".badge"), room.unread);
      total += room.unread;
    }
    drawBadge($("menu-unread"), total);
    $("leave-room").hidden = this.#rooms.size < 2;
    $("menu-button").setAttribute("aria-label", total ? `Rooms, ${total} unread` : "Rooms");
    document.title = `${total ? `(${total}) ` : ""}#${this.room?.name ?? ""} · Understudy chat`;
  }

  // --- the log ---

  #scrollToEnd() {
    this.#pinned = true;
    $("message-log").scrollTop = $("message-log").scrollHeight;
    $("jump").hidden = true;
  }

  #showDivider(divider) {
    if (divider && divider.offsetTop < $("message-log").scrollTop) divider.scrollIntoView();
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = $("message-log");
    this.#pinned = scrollHeight - scrollTop - clientHeight < 48;
    if (this.#pinned && this.room.unread) this.#read(this.room);
    if (this.#pinned) $("jump").hidden = true;
  }

  // --- the composer ---

  #submit() {
    const input = $("message-input");
    const body = input.value.trim();
    input.focus();
    if (!body) return;
    input.value = "";
    this.#fitInput();
    this.#pinned = true;
    this.room.say(body);
  }

  #fitInput() {
    const input = $("message-input");
    $("send-button").disabled = input.value.trim() === "";
    input.style.height = "auto";
    input.style.height = `${input.scrollHeight + input.offsetHeight - input.clientHeight}px`;
  }

  // --- the name ---

  #askName() {
    $("name-input").value = this.name;
    $("name-cancel").hidden = !this.name;
    $("name-submit").textContent = this.name ? "Save" : "Start chatting";
    $("name-dialog").showModal();
    $("name-input").select();
  }

  #takeName() {
    const name = personName($("name-input").value);
    $("name-input").value = name;
    if (!name) return $("name-input").reportValidity();
    $("name-dialog").close();
    if (name === this.name) return;
    if (this.name) this.room.note(`You are called ${name} now.`);
    this.name = name;
    memory.set("name", name);
    this.#introduce();
  }

  /** The server learns a name when we connect, so a new name is a new connection. */
  #introduce() {
    $("profile-name").textContent = this.name;
    drawAvatar($("profile-avatar"), this.name);
    this.#socket.disconnect();
    this.#socket.connect();
    this.#focusComposer();
  }

  // --- the connection ---

  #connectionChanged() {
    const { state } = this.#socket;
    const [look, text] = { open: ["online", "Online"], connecting: ["connecting", "Connecting…"] }[state]
      ?? ["offline", "Offline"];
    $("connection").dataset.state = look;
    $("connection-state").textContent = text;
    if (state === "waiting") this.#outage = true;
    if (state === "open") this.#backOnline();
    this.#drawCountdown();
    this.#drawNotice();
  }

  /** Rooms that the old server closed are worth another try with the new one. */
  #backOnline() {
    for (const room of this.#rooms.values()) if (room.channel.state === "closed") room.channel.join();
    if (!this.#outage) return;
    this.#outage = false;
    this.#flash("Back online.");
  }

  #drawCountdown() {
    clearTimeout(this.#countdownTimer);
    const left = Math.ceil((this.#socket.retryAt - Date.now()) / 1000);
    const waiting = this.#socket.state === "waiting";
    $("countdown").textContent = waiting && left > 0 ? `${left} s` : "";
    if (waiting) this.#countdownTimer = setTimeout(() => this.#drawCountdown(), 250);
  }

  #flash(text) {
    clearTimeout(this.#flashTimer);
    this.#flashed = text;
    this.#flashTimer = setTimeout(() => this.#flash(""), FLASH_FOR);
    this.#drawNotice();
  }

  #drawNotice() {
    const [text, action] = this.#noticeAndAction();
    // Writing the same text again would make screen readers say it again.
    if ($("notice").textContent !== text) $("notice").textContent = text;
    $("retry-now").hidden = action === "";
    $("retry-now").textContent = action;
    if (this.room) this.typingChanged(this.room);
  }

  #noticeAndAction() {
    const { channel } = this.room ?? {};
    if (this.#outage) return ["Offline. What you write is kept.", "Try now"];
    if (channel?.state === "errored") {
      return [`Not in this room${channel.reason && `: ${channel.reason}`}. Trying again.`, ""];
    }
    if (channel?.state === "closed") return ["The server closed this room.", "Join again"];
    return [this.#flashed, ""];
  }

  #tryNow() {
    if (this.room.channel.state === "closed") this.room.channel.join();
    this.#socket.wake();
    this.#focusComposer();
  }

  // --- the sidebar of a narrow window ---

  #showSidebar(open) {
    const wasOpen = document.body.classList.contains("sidebar-open");
    document.body.classList.toggle("sidebar-open", open);
    $("scrim").hidden = !open;
    $("conversation").inert = open;
    $("menu-button").setAttribute("aria-expanded", String(open));
    if (open) this.#links.get(this.room).querySelector("a").focus();
    else if (wasOpen) $("menu-button").focus();
  }

  /** To the message box; but not where that makes a keyboard jump up. */
  #focusComposer() {
    if ($("name-dialog").open) return;
    $(matchMedia("(pointer: coarse)").matches ? "room-title" : "message-input").focus({ preventScroll: true });
  }

  #listen() {
    const on = (target, event, act) => target.addEventListener(event, act);
    const onSubmit = (id, act) => on($(id), "submit", (event) => (event.preventDefault(), act()));
    onSubmit("composer", () => this.#submit());
    onSubmit("name-form", () => this.#takeName());
    onSubmit("room-form", () => {
      const name = roomName($("room-input").value);
      $("room-input").value = "";
      if (!name) return;
      this.#goTo(name);
      this.#showSidebar(false);
      this.#focusComposer();
    });
    on($("message-input"), "keydown", (event) => {
      // While an input method composes a word, Enter only ends the word.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      this.#submit();
    });
    on($("message-input"), "input", () => {
      this.#fitInput();
      if ($("message-input").value.trim()) this.room.typing();
    });
    on($("room-list"), "click", ({ target }) => {
      if (!target.closest("a")) return;
      this.#showSidebar(false);
      this.#focusComposer();
    });
    on($("skip-link"), "click", (event) => (event.preventDefault(), $("message-input").focus()));
    on($("profile"), "click", () => (this.#showSidebar(false), this.#askName()));
    on($("name-cancel"), "click", () => $("name-dialog").close());
    on($("name-dialog"), "cancel", (event) => this.name || event.preventDefault());
    on($("name-dialog"), "close", () => this.name || this.#askName()); // a second Esc closes any dialog
    on($("leave-room"), "click", () => (this.#leave(this.room), this.#focusComposer()));
    on($("retry-now"), "click", () => this.#tryNow());
    on($("menu-button"), "click", () => this.#showSidebar(true));
    on($("scrim"), "click", () => this.#showSidebar(false));
    on($("jump"), "click", () => (this.#scrollToEnd(), this.#read(this.room), this.#focusComposer()));
    on($("message-log"), "scroll", () => this.#scrolled());
    on(document, "keydown", ({ key }) => {
      if (key === "Escape" && document.body.classList.contains("sidebar-open")) this.#showSidebar(false);
    });
    on(document, "visibilitychange", () => {
      if (document.hidden) return;
      this.#socket.wake();
      if (this.#pinned) this.#read(this.room);
    });
    on(window, "online", () => this.#socket.wake());
    on(window, "hashchange", () => this.#route());
    on(this.#narrow, "change", () => this.#showSidebar(false));
    new ResizeObserver(() => this.#pinned && this.#scrollToEnd()).observe($("message-log"));
    $("copy-link").hidden = !navigator.clipboard;
    on($("copy-link"), "click", async () => {
      await navigator.clipboard.writeText(location.href).then(
        () => this.#flash("Link copied."),
        () => this.#flash("The browser did not let us copy the link; it is in the address bar."),
      );
    });
  }
}

new Chat().start();
