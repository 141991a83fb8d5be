import { type ErrorCode, errorCodes, HoldfastError } from "../base/index.ts";
import { addressText, type ServerAddress } from "./server-address.ts";

const isErrorCode = (name: unknown): name is ErrorCode => typeof name === "string" && Object.hasOwn(errorCodes, name);

/** Of refusals that say no code of ours: a proxy's, or those of `/oauth2/token`, whose codes are RFC 6749's. */
const codesByStatus: Readonly<Record<number, ErrorCode>> = {
  400: "INPUT_INVALID",
  401: "SIGN_IN_REQUIRED",
  403: "ACCESS_DENIED",
  413: "REQUEST_TOO_LARGE",
  429: "TOO_MANY_REQUESTS",
  502: "SERVER_UNREACHABLE",
  503: "SERVER_UNREACHABLE",
  504: "SERVER_UNREACHABLE",
};

/** What a server refuses with, as the error that it was there: the same code, message and remedy. */
export function problemError(address: ServerAddress, status: number, body: string): HoldfastError {
  const problem = parsed(body);
  const facts = { server: addressText(address), status, request: textOf(problem["request_id"]) ?? "" };
  const message = textOf(problem["message"]);
  const remedy = textOf(problem["detail"]);
  if (message === undefined) {
    return new HoldfastError(
      codesByStatus[status] ?? "SERVER_ANSWER_INVALID",
      `${addressText(address)} answers ${status} without saying why.`,
      {
        facts,
        remedy: "Look whether HOLDFAST_SERVER is the address of a Holdfast server, and at what is in front of it.",
      },
    );
  }
  const code = problem["error"] === "invalid_grant" ? "SIGN_IN_FAILED" : problem["error"];
  return new HoldfastError(isErrorCode(code) ? code : (codesByStatus[status] ?? "SERVER_ANSWER_INVALID"), message, {
    facts,
    ...(remedy === undefined ? {} : { remedy }),
  });
}

/** Why an activity failed, by its code, as the error that it was for its worker. */
export function failureError(failure: { readonly code: string; readonly message: string; readonly remedy?: string }) {
  const { code, message, remedy } = failure;
  return new HoldfastError(isErrorCode(code) ? code : "INTERNAL", message, remedy === undefined ? {} : { remedy });
}

function parsed(body: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}

const textOf = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value.slice(0, 10_000) : undefined;
