import { formatCount } from "../output/moment.ts";
import { type Invocation, say } from "../offline/session.ts";

const doneWithWarnings = 3;

/** The exit code of an operation that worked: 0, or 3 with warnings, which were shown as they came. */
export function warningsExit(invocation: Invocation, count: number, format: string | undefined): number {
  if (count === 0) return 0;
  if (format !== "json") say(invocation, `Done with ${formatCount(count, "warning")}; see above.`);
  return doneWithWarnings;
}
