// Commands come in as JSON lines, what happened goes out as JSON lines. Raw bytes are {"$bytes": base64}.
import { createInterface } from "node:readline";

const toJson = (_key, value) =>
  value instanceof ArrayBuffer ? { $bytes: Buffer.from(value).toString("base64") } : value;

const fromJson = (_key, value) => {
  if (typeof value?.$bytes !== "string") return value;
  const bytes = Buffer.from(value.$bytes, "base64");
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
};

export const say = (what) => process.stdout.write(`${JSON.stringify(what, toJson)}\n`);

/** Carry out each command when it comes; the program ends with its input, after `cleanUp`. */
export async function obey(carryOut, cleanUp = () => {}) {
  for await (const line of createInterface({ input: process.stdin })) carryOut(JSON.parse(line, fromJson));
  await cleanUp();
  process.exit(0);
}
