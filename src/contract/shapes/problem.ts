import { z } from "zod";
import { named } from "./shape.ts";

/** What every refusal and failure looks like. Clients print `message`, `detail`, `error` and `error_description`. */
export const problem = named(
  "Problem",
  z.strictObject({
    /** The HTTP status once more. */
    code: z.int().min(400).max(599),
    /** What, and where. */
    message: z.string(),
    /** The next step. */
    detail: z.string().optional(),
    /** A code of docs/errors.md; at `/oauth2/token` one of RFC 6749. */
    error: z.string(),
    /** At `/oauth2/token`: the message once more. */
    error_description: z.string().optional(),
    /** What is wrong with a body or a query, one by one. */
    problems: z.array(z.strictObject({ path: z.string(), message: z.string() })).optional(),
    /** As in the server's log and in the header X-Request-Id. */
    request_id: z.string(),
  }),
);
export type Problem = z.output<typeof problem>;
