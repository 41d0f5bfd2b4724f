// Starts one Chromium for many tests: `node browser_server.mjs <path of chromium>` prints where to connect,
// and closes the browser when its input ends.
import { chromium } from "playwright-core";

const server = await chromium.launchServer({ executablePath: process.argv[2], args: ["--no-sandbox"] });
console.log(server.wsEndpoint());
process.stdin.resume().on("end", async () => {
  await server.close();
  process.exit(0);
});
