import { HoldfastError, isHoldfastError } from "../../base/index.ts";
import type { Problem } from "../../contract/index.ts";

export interface ProblemResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Problem;
}

/** RFC 6749, section 5.2: what its clients look for in `error`. */
const oauthErrors: Readonly<Record<string, readonly [status: number, error: string]>> = {
  SIGN_IN_FAILED: [400, "invalid_grant"],
  INPUT_INVALID: [400, "invalid_request"],
};

/** One wrong part of a body or query, as the contract's check found it. */
export interface InputProblem {
  readonly path: string;
  readonly message: string;
}

/** Where `wrongInput` keeps its list: facts are primitives. */
const listed = new WeakMap<HoldfastError, readonly InputProblem[]>();

/** The refusal of a body or query that is not as the contract wants it. */
export function wrongInput(what: "body" | "query", problems: readonly InputProblem[]): HoldfastError {
  const [first] = problems;
  const where = first === undefined || first.path === "" ? "" : ` at ${first.path}`;
  const error = new HoldfastError(
    "INPUT_INVALID",
    `The ${what} is not as it should be${where}: ${first?.message ?? "it does not fit"}`,
    { remedy: "See GET /openapi.json" },
  );
  listed.set(error, problems);
  return error;
}

/**
 * What a client is told of an error. Of the server's own failures it is only told that there was one: their messages name
 * files and addresses, which are in the log.
 * @param options `oauth`: the client reads it by RFC 6749; `showFailures`: it is told of failures what the log is told
 */
export function problemResponse(
  error: unknown,
  requestId: string,
  { oauth = false, showFailures = false }: { readonly oauth?: boolean; readonly showFailures?: boolean } = {},
): ProblemResponse {
  const known =
    isHoldfastError(error) && (showFailures || error.info.http < 500 || error.info.http === 501) ? error : undefined;
  const [status, name] = (known !== undefined && oauth ? oauthErrors[known.code] : undefined) ?? [
    known?.info.http ?? (isHoldfastError(error) ? error.info.http : 500),
    known?.code ?? (isHoldfastError(error) ? error.code : "INTERNAL"),
  ];
  const message = known?.message ?? "The server could not do this. Its log says why, under the id of this request.";
  const problems = known === undefined ? undefined : listed.get(known);
  return {
    status,
    headers: headersFor(known),
    body: {
      code: status,
      message,
      ...(known?.remedy === undefined ? {} : { detail: known.remedy }),
      error: name,
      ...(oauth ? { error_description: message } : {}),
      ...(problems === undefined ? {} : { problems: [...problems] }),
      request_id: requestId,
    },
  };
}

function headersFor(error: HoldfastError | undefined): Record<string, string> {
  const code = error?.code;
  if (code === "SIGN_IN_REQUIRED") return { "www-authenticate": "Bearer" };
  if (code === "METHOD_NOT_ALLOWED") return { allow: String(error?.facts["allow"] ?? "") };
  if (code === "TOO_MANY_REQUESTS" || code === "TOO_MANY_ACTIVITIES")
    return { "retry-after": String(error?.facts["retryAfterSeconds"] ?? 60) };
  // The rest of the body is not read.
  if (code === "REQUEST_TOO_LARGE") return { connection: "close" };
  return {};
}
