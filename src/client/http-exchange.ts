import { type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { HoldfastError, messageOf, systemErrorCode, throwIfAborted } from "../base/index.ts";
import { addressText, type ServerAddress } from "./server-address.ts";

export interface HttpRequest {
  readonly method: string;
  /** With its query, encoded. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly signal: AbortSignal;
  /** For how long nothing may come, from the connection on until the answer's end. */
  readonly silenceMs: number;
  /** How long the answer's head may take, the connection included. */
  readonly headMs: number;
  /** It may have had its effect once it was sent. */
  readonly changes: boolean;
}

/**
 * Sends one request over a connection of its own. Resolves with the answer's head; reading its body throws a HoldfastError,
 * too, when the connection breaks. @throws HoldfastError SERVER_UNREACHABLE, INTERRUPTED; of a request that changes something
 *   and was sent they say that it is not known whether the server does it
 */
export async function exchange(address: ServerAddress, request: HttpRequest): Promise<IncomingMessage> {
  const { method, path, headers, body, signal, silenceMs, headMs, changes } = request;
  throwIfAborted(signal);
  const options = {
    method,
    headers: { ...headers, ...(body === undefined ? {} : { "content-length": Buffer.byteLength(body) }) },
    // A connection that the server closes in the moment that it is used again would leave open what became of a request.
    agent: false as const,
    timeout: silenceMs,
  };
  const sent = send(address, path, options);
  let isSent = false;
  sent.once("finish", () => (isSent = true));
  sent.once("timeout", () => sent.destroy(new Error(`nothing came for ${silenceMs / 1000} s`)));
  const late = setTimeout(() => sent.destroy(new Error(`no answer came for ${headMs / 1000} s`)), headMs);
  const onAbort = (): void => void sent.destroy();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      sent.once("response", resolve);
      sent.on("error", reject);
      sent.end(body);
    });
    answer.once("close", () => signal.removeEventListener("abort", onAbort));
    return answer;
  } catch (error) {
    signal.removeEventListener("abort", onAbort);
    throw broken(address, error, signal, isSent && changes);
  } finally {
    clearTimeout(late);
  }
}

/** The error for an exchange that did not come to its end. `isOpen`: the request may have had its effect. */
function broken(address: ServerAddress, error: unknown, signal: AbortSignal, isOpen: boolean): HoldfastError {
  if (!signal.aborted) return unreachable(address, error, isOpen);
  if (!isOpen) throwIfAborted(signal);
  const server = addressText(address);
  return new HoldfastError(
    "INTERRUPTED",
    `Interrupted before ${server} had answered a request that it was sent: whether it does what was asked is not known.`,
    { facts: { server }, remedy: lookFirst, cause: error },
  );
}

const lookFirst = "Look before you ask again:  holdfast activity:list";

function send(address: ServerAddress, path: string, options: object) {
  if (address.kind === "socket") return requestHttp({ ...options, socketPath: address.path, path, host: "localhost" });
  const url = new URL(address.url + path);
  return url.protocol === "https:" ? requestHttps(url, options) : requestHttp(url, options);
}

/**
 * The body's pieces as they come. @throws HoldfastError SERVER_UNREACHABLE when it ends before its end, INTERRUPTED
 */
export async function* bodyOf(
  answer: IncomingMessage,
  address: ServerAddress,
  { changes, signal }: Pick<HttpRequest, "changes" | "signal">,
): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) yield chunk;
  } catch (error) {
    throw broken(address, error, signal, changes);
  } finally {
    // Also when nobody wants the rest.
    answer.destroy();
  }
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ENOENT: "nothing listens there",
  ENOTFOUND: "there is no machine of this name",
  EAI_AGAIN: "its name cannot be looked up at the moment",
  ECONNRESET: "the connection was closed",
  EPIPE: "the connection was closed",
  ETIMEDOUT: "nothing came in time",
  EHOSTUNREACH: "there is no way to this machine",
  ENETUNREACH: "there is no way to this network",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is signed by itself",
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate is signed by nobody known here",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate is signed by nobody known here",
  CERT_HAS_EXPIRED: "its certificate has expired",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name",
};

/** `isOpen`: the request may have had its effect. */
export function unreachable(address: ServerAddress, error: unknown, isOpen: boolean): HoldfastError {
  const code = systemErrorCode(error) ?? "";
  const reason = reasons[code] ?? messageOf(error);
  const what = isOpen
    ? `${addressText(address)} did not answer a request that it was sent (${reason}): whether it does what was asked is not known.`
    : `${addressText(address)} cannot be reached: ${reason}.`;
  return new HoldfastError("SERVER_UNREACHABLE", what, {
    facts: { server: addressText(address), code },
    remedy: isOpen
      ? lookFirst
      : /CERT|SIGNATURE/.test(code)
        ? "If its authority is your own, name that authority's certificate in NODE_EXTRA_CA_CERTS."
        : "Look whether it runs (holdfast serve), and at HOLDFAST_SERVER.",
    cause: error,
  });
}
