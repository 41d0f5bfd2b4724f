// A real browser under remote control: `node browser.mjs <address>`, which `browser_server.mjs` printed. Each
// person has a context of their own, which ends with this program.
// `call` names a method of the person's page, of its keyboard, or of a locator, and is answered.
import { chromium } from "playwright-core";
import { obey, say } from "./lines.mjs";

const browser = await chromium.connect(process.argv[2]);
const pages = new Map(); // person -> Page

/** What a page does that no test asked for. */
function watch(person, page) {
  page.on("console", (message) => say({ person, happened: "console", type: message.type(), text: message.text() }));
  page.on("pageerror", (error) => say({ person, happened: "page error", text: String(error) }));
  page.on("request", (request) => say({ person, happened: "request", url: request.url() }));
  page.on("websocket", (socket) => say({ person, happened: "request", url: socket.url() }));
  page.on("dialog", (dialog) => {
    say({ person, happened: "dialog", text: dialog.message() });
    dialog.dismiss();
  });
}

async function open({ person, options }) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  watch(person, page);
  pages.set(person, page);
}

/** What waits is content with the first element that is right; what acts wants exactly one. */
function locate(page, selector, hasText, method) {
  const found = page.locator(selector, { hasText });
  return method === "waitFor" ? found.first() : found;
}

async function call({ person, on, hasText, method, args }) {
  const page = pages.get(person);
  const target = { page, keyboard: page.keyboard, context: page.context() }[on] ?? locate(page, on, hasText, method);
  const result = await target[method](...args);
  return ["string", "number", "boolean"].includes(typeof result) || Array.isArray(result) ? result : null;
}

const verbs = { open, call };

obey(async ({ do: verb, number, ...command }) => {
  try {
    say({ answer: number, result: await verbs[verb](command) });
  } catch (error) {
    say({ answer: number, error: String(error) });
  }
}, () => browser.close());
