import { HoldfastError } from "../base/index.ts";

/** Where a server is: its URL, or the control socket of one on this machine. */
export type ServerAddress =
  /** Without a slash at its end; may have a path. */
  { readonly kind: "url"; readonly url: string } | { readonly kind: "socket"; readonly path: string };

/** "https://backups.example.com/" and the like. @throws HoldfastError INPUT_INVALID */
export function parseServerUrl(text: string): ServerAddress {
  const wrong = (why: string): HoldfastError =>
    new HoldfastError("INPUT_INVALID", `${JSON.stringify(text)} is no address of a server: ${why}.`, {
      remedy: "Write it as https://backups.example.com",
    });
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:")) {
    throw wrong("it is no http or https URL");
  }
  if (url.username !== "" || url.password !== "") throw wrong("a password does not belong into it");
  if (url.search !== "" || url.hash !== "") throw wrong("it has a query or a fragment");
  return { kind: "url", url: `${url.origin}${url.pathname}`.replace(/\/+$/, "") };
}

/** For people, as a sentence begins. */
export const addressText = (address: ServerAddress): string =>
  address.kind === "url" ? `The server ${address.url}` : `The server on this state (${address.path})`;

/** Does what is sent there go over a network as anybody can read it? */
export function isUnencrypted(address: ServerAddress): boolean {
  if (address.kind === "socket") return false;
  const { protocol, hostname } = new URL(address.url);
  return protocol === "http:" && !/^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
}
